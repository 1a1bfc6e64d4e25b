//! What a word is: a run of ASCII letters, as in `LC_ALL=C tr -cs A-Za-z '\n'`.

/// The words of a text, in order. Capital and small letters differ.
pub fn words(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| std::str::from_utf8(word).expect("ASCII letters are UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_ascii_letters() {
        let found: Vec<_> = words(b"  The the, a1b\xffc d\xc3\xa9j\xc3\xa0\n").collect();
        assert_eq!(found, ["The", "the", "a", "b", "c", "d", "j"]);
    }
}
