//! Whatever turns do while pages are read: the agenda gives out each row once, in order, and keeps few in memory.

use proptest::prelude::*;

use super::super::stored::due_key;
use super::*;

#[derive(Debug, Clone)]
enum Happens {
    Put(u64, u8),
    Remove(usize),
    /// The disk has everything up to now.
    Sync,
    BeginPage,
    /// The page shows everything, or only what was durable when it began.
    EndPage(bool),
    Take(u64),
    Fail(usize),
    /// A tick commits: its row goes.
    Done(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        8 => (0u64..500, any::<u8>()).prop_map(|(due, name)| Happens::Put(due, name)),
        3 => (0usize..1000).prop_map(Happens::Remove),
        2 => Just(Happens::Sync),
        3 => Just(Happens::BeginPage),
        3 => any::<bool>().prop_map(Happens::EndPage),
        2 => (0u64..500).prop_map(Happens::Take),
        1 => (0usize..1000).prop_map(Happens::Fail),
        2 => (0usize..1000).prop_map(Happens::Done),
    ];
    prop::collection::vec(one, 1..1500)
}

/// The shard's rows as turns see them, and as the disk has them.
#[derive(Default)]
struct Model {
    seq: u64,
    durable: u64,
    rows: BTreeSet<Bytes>,
    history: Vec<(u64, Bytes, bool)>,
}

impl Model {
    fn change(&mut self, agenda: &mut Agenda, key: Bytes, present: bool) {
        self.seq += 1;
        let _ = if present { self.rows.insert(key.clone()) } else { self.rows.remove(&key) };
        self.history.push((self.seq, key.clone(), present));
        agenda.changed(Seq(self.seq), key, present, Seq(self.durable));
    }

    fn on_disk(&self, up_to: u64) -> BTreeSet<Bytes> {
        let mut rows = BTreeSet::new();
        for (_, key, present) in self.history.iter().filter(|(seq, ..)| *seq <= up_to) {
            let _ = if *present { rows.insert(key.clone()) } else { rows.remove(key) };
        }
        rows
    }

    fn nth(&self, n: usize) -> Option<Bytes> {
        self.rows.iter().nth(n % self.rows.len().max(1)).cloned()
    }
}

fn page(rows: &BTreeSet<Bytes>, range: &RowRange) -> Vec<Bytes> {
    rows.iter().filter(|key| range.contains(key)).take(PAGE).cloned().collect()
}

fn run(happenings: Vec<Happens>) -> Result<(), TestCaseError> {
    let (mut model, mut agenda) = (Model::default(), Agenda::new());
    let mut reading: Option<(RowRange, u64)> = None;
    let mut taken: Vec<Taken> = Vec::new();
    for happens in happenings {
        match happens {
            Happens::Put(due, name) => {
                let key = due_key(due, &[name]);
                if !model.rows.contains(&key) {
                    model.change(&mut agenda, key, true);
                }
            }
            Happens::Remove(n) => {
                if let Some(key) = model.nth(n) {
                    model.change(&mut agenda, key, false);
                }
            }
            Happens::Sync => model.durable = model.seq,
            Happens::BeginPage => {
                if let Some(range) = agenda.begin_page(Seq(model.durable)) {
                    reading = Some((range, model.durable));
                }
            }
            Happens::EndPage(latest) => {
                if let Some((range, then)) = reading.take() {
                    let up_to = if latest { model.durable } else { then };
                    agenda.end_page(page(&model.on_disk(up_to), &range));
                }
            }
            Happens::Take(now) => {
                if let Some(one) = agenda.take(now) {
                    prop_assert!(model.rows.contains(&one.key), "a row that is not there was given out");
                    prop_assert!(due_of(&one.key) <= now);
                    prop_assert!(agenda.is_current(&one.key, one.ticket));
                    taken.push(one);
                }
            }
            Happens::Fail(n) if !taken.is_empty() => {
                let one = taken.swap_remove(n % taken.len());
                agenda.again(&one.key, one.ticket, one.failures + 1, 1_000);
            }
            Happens::Done(n) if !taken.is_empty() => {
                let one = taken.swap_remove(n % taken.len());
                if agenda.is_current(&one.key, one.ticket) {
                    model.change(&mut agenda, one.key, false);
                }
            }
            Happens::Fail(_) | Happens::Done(_) => {}
        }
        prop_assert!(agenda.waiting.len() <= WAITING_MAX);
    }
    // In the end all is durable and read: everything that is left comes out, in order, and nothing else.
    model.durable = model.seq;
    if let Some((range, _)) = reading.take() {
        agenda.end_page(page(&model.rows, &range));
    }
    for one in taken {
        agenda.again(&one.key, one.ticket, 1, 0);
    }
    while !model.rows.is_empty() {
        while let Some(range) = agenda.begin_page(Seq(model.durable)) {
            agenda.end_page(page(&model.rows, &range));
        }
        let one = agenda.take(u64::MAX).expect("a row that is there was not given out");
        prop_assert!(model.rows.contains(&one.key), "a row came twice, or was gone");
        model.change(&mut agenda, one.key, false);
        model.durable = model.seq;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_row_is_given_out_once_and_few_are_in_memory(happenings in happenings()) {
        run(happenings)?;
    }
}

#[test]
fn a_reminder_that_is_set_anew_is_another_one() {
    let mut agenda = Agenda::new();
    assert!(agenda.begin_page(Seq(0)).is_some());
    agenda.end_page(Vec::new());
    let key = due_key(5, b"x");
    agenda.changed(Seq(1), key.clone(), true, Seq(0));
    let first = agenda.take(5).unwrap();
    agenda.changed(Seq(2), key.clone(), false, Seq(0));
    agenda.changed(Seq(2), key.clone(), true, Seq(0));
    assert!(!agenda.is_current(&key, first.ticket), "the first one was replaced");
    assert!(!agenda.again(&key, first.ticket, 1, 5));
    let second = agenda.take(5).unwrap();
    assert_eq!((second.seq, second.failures), (Seq(2), 0));
    assert!(!agenda.is_current(&key, first.ticket) && agenda.is_current(&key, second.ticket));
    assert_eq!(agenda.find(b"x"), Known::Due(key));
    assert_eq!(agenda.find(b"y"), Known::Nothing);
}
