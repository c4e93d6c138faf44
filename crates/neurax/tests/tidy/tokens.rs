//! Tests of the tokens that several tests of this workspace read.

use crate::workspace::tokens::{test_modules, tokens, without_tests};

#[test]
fn literals_and_comments_are_no_tokens() {
    for (text, want) in [
        ("a::b // c\n/* d */ e", "a :: b e"),
        (r##"f("x\"y", r"\", r#"a"b"#, 'c', '\'', '"') g"##, "f ( , , , , , ) g"),
        ("&'a str", "& ' a str"),
        ("'é' r rest", "r rest"),
    ] {
        let found: Vec<&str> = tokens(text).iter().map(|t| t.text).collect();
        assert_eq!(found.join(" "), want, "{text}");
    }
}

#[test]
fn a_test_attribute_marks_one_item() {
    for (text, want) in [
        ("#[cfg(test)] mod parse; fn f() {}", "fn f ( ) { }"),
        ("#[cfg(test)] fn f() -> [u8; 2] { g(); } struct A;", "struct A ;"),
        ("fn f() {} #[cfg(all(test, unix))] mod tests { fn g() {} }", "fn f ( ) { }"),
        ("impl A { #[cfg(test)] const B: u8 = 1; fn c() {} }", "impl A { fn c ( ) { } }"),
        ("enum A { #[cfg(test)] B } fn c() {}", "enum A { } fn c ( ) { }"),
    ] {
        let found: Vec<&str> = without_tests(&tokens(text)).iter().map(|t| t.text).collect();
        assert_eq!(found.join(" "), want, "{text}");
    }
}

#[test]
fn test_modules_are_named() {
    let text =
        "#[cfg(test)]\nmod a;\nmod b;\n#[cfg(test)]\npub(crate) mod c;\n#[cfg(test)] mod d {}";
    assert_eq!(test_modules(&tokens(text)), ["a", "c"]);
}
