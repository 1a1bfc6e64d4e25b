//! What the caches conclude from events.

use super::*;

fn caches() -> Caches {
    let all = CHILDREN.map(Watched::Child).into_iter();
    let all = all.chain([Watched::Clusters, Watched::Pods, Watched::Pages]);
    Caches {
        clusters: Writer::default().as_reader(),
        children: BTreeMap::new(),
        pods: Writer::default().as_reader(),
        pages: Writer::default().as_reader(),
        versions: all.map(|watched| (watched, Version::default())).collect(),
        written: Mutex::default(),
        dirty: Dirty::default(),
    }
}

#[test]
fn nothing_is_planned_before_the_cache_has_seen_our_own_write() {
    let (caches, mut began) = (caches(), 0);
    let (demo, other) = (ObjectRef::new("demo").within("x"), ObjectRef::new("other").within("x"));
    caches.wrote(&demo, Watched::Pods, Some("120"));
    caches.follow(Watched::Pods, Shown::Object(119), &mut began);
    assert_eq!(caches.behind(&demo), Some(Watched::Pods));
    assert_eq!(caches.behind(&other), None);
    caches.follow(Watched::Pods, Shown::Object(121), &mut began);
    assert_eq!(caches.behind(&demo), None);
}

#[test]
fn a_list_that_began_after_a_write_has_seen_it_though_its_object_is_gone() {
    let (caches, mut began) = (caches(), 0);
    let demo = ObjectRef::new("demo").within("x");
    caches.wrote(&demo, Watched::Pods, Some("120"));
    caches.follow(Watched::Pods, Shown::Start, &mut began);
    caches.wrote(&demo, Watched::Pods, Some("130"));
    caches.follow(Watched::Pods, Shown::End, &mut began);
    assert_eq!(caches.behind(&demo), Some(Watched::Pods), "the write of 130 came after the list began");
    caches.follow(Watched::Pods, Shown::Start, &mut began);
    caches.follow(Watched::Pods, Shown::End, &mut began);
    assert_eq!(caches.behind(&demo), None);
}
