//! Quotes that are not closed.
//!
//! A field that begins with a quote goes to the next quote that is not doubled, over the ends of
//! lines. If this quote is missing, the field takes all lines up to the end of the file, and the
//! crate `csv` reports nothing. [`unclosed_quote`] follows the bytes of a record by the rules of
//! this crate:
//!
//! ```text
//! a,"b ""c"" d",e     two quotes inside of a field are one that does not end it
//! 5" tall,"x          a quote inside of a field without quotes is a letter; the last one is open
//! ```

/// The part of a record that a byte is in.
#[derive(Clone, Copy)]
enum QuoteState {
    /// At the start of a field.
    Start,
    /// In a field without quotes, or behind its closing quote.
    Plain,
    /// In a field whose quote is at this offset.
    Quoted(usize),
    /// Behind a quote that closes a field, whose first quote is at this offset, or is doubled.
    Closed(usize),
}

/// Returns the offset of the quote that is open at the end of a record.
pub(super) fn unclosed_quote(record: &[u8], delimiter: u8) -> Option<usize> {
    use QuoteState::{Closed, Plain, Quoted, Start};
    let is_end = |b: u8| b == delimiter || b == b'\n' || b == b'\r';
    let next = |state, (i, &b): (usize, &u8)| match state {
        Start if b == b'"' => Quoted(i),
        Quoted(quote) if b == b'"' => Closed(quote),
        Closed(quote) if b == b'"' => Quoted(quote),
        Quoted(quote) => Quoted(quote),
        Start | Plain | Closed(_) if is_end(b) => Start,
        Start | Plain | Closed(_) => Plain,
    };
    match record.iter().enumerate().fold(Start, next) {
        Quoted(quote) => Some(quote),
        Start | Plain | Closed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_open_until_one_that_is_not_doubled() {
        let open = |text: &str| unclosed_quote(text.as_bytes(), b',');
        for closed in ["a,b\n", "\"a,b\",c", "\"a \"\"b\"\"\",c", "5\" tall,2", "\"\"\"\"", ""] {
            assert_eq!(open(closed), None, "{closed}");
        }
        assert_eq!(open("a,\"b\nc,d\n"), Some(2));
        assert_eq!(open("\"a \"\"b\"\",c"), Some(0));
        assert_eq!(open("5\" tall,\"x"), Some(8));
        assert_eq!(unclosed_quote(b"a;\"b", b';'), Some(2));
    }
}
