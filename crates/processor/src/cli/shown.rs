//! Text of others on a terminal: what could move the cursor, colour or hide something is shown as what it is.

/// `text` with control characters and marks of direction escaped.
pub(super) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

fn is_harmless(character: char) -> bool {
    let turns_direction = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns_direction && !matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_reaches_the_terminal_as_a_command() {
        assert_eq!(
            safe("é=\u{1b}[2J\n\t\u{202e}x\u{9b}1m"),
            "é=\\u{1b}[2J\\n\\t\\u{202e}x\\u{9b}1m"
        );
    }
}
