//! The arguments `NAME=VALUE` and `NAME=SIZES`, as `clap` parses them.

use neurax::prelude::*;

/// Returns the name and the value of `NAME=VALUE`, as `clap` parses it.
///
/// # Errors
/// If there is no `=`.
pub fn named_value(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

/// Returns the name and the sizes of `NAME=1,3,224,224`, as `clap` parses it.
///
/// # Errors
/// If there is no `=`, or a size is no number.
pub fn named_sizes(text: &str) -> std::result::Result<(String, Vec<usize>), String> {
    let size = |text: &str| text.parse().map_err(|_| format!("expected a size, got `{text}`"));
    named_list(text, size)
}

/// Returns the name and the sizes of `NAME=batch,3,_,224`, as `clap` parses it: `_` is any size,
/// and so is a name, which is one size for all axes of the name.
///
/// # Errors
/// If there is no `=`, or a size is none of these.
pub fn named_dims(text: &str) -> std::result::Result<(String, Vec<Dim>), String> {
    let is_name = |text: &str| text.starts_with(char::is_alphabetic);
    let dim = |text: &str| match text.parse() {
        Ok(n) => Ok(Dim::Size(n)),
        Err(_) if text == "_" => Ok(Dim::Any),
        Err(_) if is_name(text) => Ok(Dim::Named(text.into())),
        Err(_) => Err(format!("expected a size, a name or `_`, got `{text}`")),
    };
    named_list(text, dim)
}

/// Returns the name and the elements of `NAME=A,B`; no elements of `NAME=`.
fn named_list<T>(
    text: &str,
    element: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<(String, Vec<T>), String> {
    let (name, list) = named_value(text).map_err(|_| "expected NAME=SIZES")?;
    let list = match list.trim() {
        "" => vec![],
        list => list.split(',').map(|text| element(text.trim())).collect::<Result<_, _>>()?,
    };
    Ok((name, list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_and_in_an_export_names() {
        assert_eq!(named_sizes("x=2, 3"), Ok(("x".into(), vec![2, 3])));
        assert_eq!(named_sizes("x="), Ok(("x".into(), vec![])));
        assert_eq!(named_sizes("x=a"), Err("expected a size, got `a`".into()));
        assert_eq!(named_sizes("x"), Err("expected NAME=SIZES".into()));
        let (name, dims) = named_dims("x=batch,3,_").unwrap();
        assert_eq!(name, "x");
        assert!(matches!(&dims[..], [Dim::Named(n), Dim::Size(3), Dim::Any] if n == "batch"));
        assert!(named_dims("x=1.5").is_err() && named_dims("x=-1").is_err());
    }
}
