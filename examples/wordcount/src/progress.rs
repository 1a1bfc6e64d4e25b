//! How far the count is: a bar in a terminal, elsewhere a line for each tenth.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle, style::TemplateError};

pub(crate) struct Progress {
    words: usize,
    counted: Cell<usize>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(words: usize) -> Result<Self, TemplateError> {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} words, {per_sec}, {eta} left")?;
        let bar = || ProgressBar::new(words as u64).with_style(style);
        Ok(Self { words, counted: Cell::new(0), bar: std::io::stderr().is_terminal().then(bar) })
    }

    /// One more word has been counted.
    pub(crate) fn step(&self) {
        let before = self.counted.get();
        let counted = before + 1;
        self.counted.set(counted);
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if counted * 10 / self.words > before * 10 / self.words => {
                eprintln!("{counted} of {} words", self.words);
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
