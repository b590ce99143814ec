//! Rust text without what is not code.

/// The lines of `text`, in which comments, strings and characters are blanks.
pub fn code(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let length = blank(&letters, at);
        if length == 0 {
            masked.push(letters[at]);
            at += 1;
            continue;
        }
        let end = letters.len().min(at + length);
        let blanks = letters[at..end].iter();
        masked.extend(blanks.map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    masked.lines().map(str::to_owned).collect()
}

/// How many letters from `at` on are a comment or a literal; 0 when code stands there.
fn blank(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    match rest {
        ['/', '/', ..] => rest
            .iter()
            .position(|letter| *letter == '\n')
            .unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3, // a lifetime has no second quote there
        ['r', '"' | '#', ..] if !within_word(letters, at) => raw_string(rest),
        _ => 0,
    }
}

fn within_word(letters: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| letters[before]);
    // The prefixes of `br"…"` and `cr"…"` are no word.
    let prefix = matches!(before, Some('b' | 'c'))
        && !at.checked_sub(2).is_some_and(|before| is_word(letters[before]));
    before.is_some_and(is_word) && !prefix
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0; // a raw identifier
    }
    let body = 2 + hashes;
    let end = (body..rest.len()).find(|at| {
        let after = rest[at + 1..].iter().take(hashes);
        rest[*at] == '"' && after.filter(|letter| **letter == '#').count() == hashes
    });
    end.map_or(rest.len(), |end| end + 1 + hashes)
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_remains() {
        let table = [
            ("a // x", "a     "),
            ("a /* x /* x */ x */ b", "a                   b"),
            ("a(\"x \\\" x\", b)", "a(        , b)"),
            ("a(r#\"x \" x\"#, b)", "a(          , b)"),
            ("a(br\"x\", b)", "a(b    , b)"),
            ("a('\"', b)", "a(   , b)"),
            ("a('\\'', b)", "a(    , b)"),
            ("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)"),
            ("r#type", "r#type"),
            ("for\"x\"", "for   "),
        ];
        for (text, expected) in table {
            assert_eq!(code(text), [expected], "{text}");
        }
    }

    #[test]
    fn a_line_keeps_its_number() {
        assert_eq!(code("/* 1\n2 */ a\n\"3\n4\" b"), ["    ", "     a", "  ", "   b"]);
    }

    #[test]
    fn an_open_end_is_no_panic() {
        for text in ["\"", "'\\", "/*", "r#\"", "r", "'", "\"\\"] {
            code(text);
        }
    }
}
