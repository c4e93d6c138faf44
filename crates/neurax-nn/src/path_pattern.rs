//! Patterns of paths: which variables or layers a setting is for.
//!
//! ```text
//! head.kernel      this path
//! *.kernel         the kernel of every layer that is in no block
//! **.kernel        the kernel of every layer
//! encoder.**       everything below the block `encoder`
//! dense_*.bias     `*` stands for any part of a name
//! ```

use neurax_tensor::{Error, Result};

/// A pattern of dotted paths: `*` stands for any characters but dots, `**` for any number of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern(Vec<String>);

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// If a name of the pattern is empty, or has `**` beside other characters.
    pub fn parse(pattern: &str) -> Result<PathPattern> {
        let names: Vec<String> = pattern.split('.').map(String::from).collect();
        let is_valid = |n: &String| !n.is_empty() && (n == "**" || !n.contains("**"));
        if names.iter().all(is_valid) {
            return Ok(PathPattern(names));
        }
        let want = "expected names with dots between them, such as `encoder.**` or `**.kernel`";
        Err(Error::new("pattern", format!("{want}, got `{pattern}`")))
    }

    /// Returns for each path if the pattern `pattern` stands for it.
    ///
    /// # Errors
    /// If the pattern is malformed, or stands for none of the paths.
    pub fn select(pattern: &str, paths: &[String]) -> Result<Vec<bool>> {
        let parsed = PathPattern::parse(pattern)?;
        let chosen: Vec<bool> = paths.iter().map(|path| parsed.matches(path)).collect();
        if chosen.contains(&true) {
            return Ok(chosen);
        }
        let want =
            format!("expected a pattern of one of the parameters {}", nearest(paths, pattern));
        let below = format!("{pattern}.");
        let hint = if paths.iter().any(|path| path.starts_with(&below)) {
            format!("; `{pattern}.**` stands for all below it")
        } else {
            String::new()
        };
        Err(Error::new("pattern", format!("{want}; got `{pattern}`{hint}")))
    }

    /// Returns true if the pattern stands for `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.captures(path).is_some()
    }

    /// Returns what the stars of the pattern stand for in `path`, in order, or `None` if the
    /// pattern does not stand for it.
    pub fn captures(&self, path: &str) -> Option<Vec<String>> {
        let names: Vec<&str> = path.split('.').collect();
        let mut captures = Vec::new();
        names_match(&self.0, &names, &mut captures).then_some(captures)
    }
}

/// Lists paths for an error message; of many paths, those that are most similar to `wanted`, and
/// the number of the others.
pub(crate) fn nearest(paths: &[String], wanted: &str) -> String {
    const MAX_LISTED_PATHS: usize = 10;
    let more = paths.len().saturating_sub(MAX_LISTED_PATHS);
    if more == 0 {
        return if paths.is_empty() { "of no model".into() } else { paths.join(", ") };
    }
    let mut sorted: Vec<&str> = paths.iter().map(String::as_str).collect();
    sorted.sort_by_cached_key(|path| edits(path, wanted));
    format!("{} and {more} more", sorted[..MAX_LISTED_PATHS].join(", "))
}

/// Returns the number of characters that are inserted, removed or replaced to change `a` to `b`:
/// Levenshtein's distance, by the algorithm of Wagner and Fischer.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Returns true if the pattern stands for the names, and adds what its stars stand for.
fn names_match(pattern: &[String], names: &[&str], captures: &mut Vec<String>) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return names.is_empty() };
    let before = captures.len();
    if first == "**" {
        return (0..=names.len()).any(|n| {
            captures.truncate(before);
            captures.push(names[..n].join("."));
            names_match(rest, &names[n..], captures)
        });
    }
    match names.split_first() {
        Some((name, others)) => {
            name_matches(first, name, captures) && names_match(rest, others, captures)
        }
        None => false,
    }
}

/// Returns true if `name` has the parts of `pattern` between its `*`, in this order, and adds what
/// these stand for.
fn name_matches(pattern: &str, name: &str, captures: &mut Vec<String>) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // empty: `rest` has at least one part, the last one.
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((star, after)) = name.split_once(part) else { return false };
        captures.push(star.into());
        name = after;
    }
    let star = name.strip_suffix(end);
    captures.extend(star.map(String::from));
    star.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_nothing_names_the_nearest_paths() {
        let paths: Vec<String> = (0..200)
            .flat_map(|i| ["bias", "kernel"].map(|name| format!("encoder.block_{i}.{name}")))
            .collect();
        let e = PathPattern::select("encoder.blok_17.*", &paths).unwrap_err();
        let listed = e.message().split(", ").count();
        assert!(e.message().contains("encoder.block_17.bias, ") && listed == 10, "{e}");
        assert!(e.message().ends_with(" and 390 more; got `encoder.blok_17.*`"), "{e}");
        assert_eq!(["", "kernel", "a"].map(|a| edits(a, "kernle")), [6, 2, 6]);
    }

    #[test]
    fn names_and_stars() {
        let cases = [
            ("head.kernel", "head.kernel", true),
            ("head.kernel", "head.bias", false),
            ("*.kernel", "dense.kernel", true),
            ("*.kernel", "encoder.dense.kernel", false),
            ("**.kernel", "encoder.dense.kernel", true),
            ("**.kernel", "kernel", true),
            ("encoder.**", "encoder.block_0.dense.kernel", true),
            ("encoder.**", "decoder.dense.kernel", false),
            ("a.**.b.**.c", "a.x.b.b.y.c", true),
            ("a.**.b.**.c", "a.x.c", false),
            ("dense_*.bias", "dense_12.bias", true),
            ("dense_*.bias", "dense.bias", false),
            ("*_*_x", "a_b_c_x", true),
            ("*a", "aa", true),
            ("a*a", "a", false),
            ("**", "anything.at.all", true),
        ];
        for (pattern, path, want) in cases {
            assert_eq!(
                PathPattern::parse(pattern).unwrap().matches(path),
                want,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn stars_are_captured_in_order() {
        let cases = [
            ("layer.*.attention.**", "layer.3.attention.query.weight", "3 query.weight"),
            ("**.c_*.weight", "h.0.mlp.c_fc.weight", "h.0.mlp fc"),
            ("a_*_*.b", "a_1_2.b", "1 2"),
            ("**.b.**", "a.b.c.b.d", "a c.b.d"),
        ];
        for (pattern, path, want) in cases {
            let captures = PathPattern::parse(pattern).unwrap().captures(path).unwrap();
            assert_eq!(captures.join(" "), want, "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for pattern in ["", "a..b", ".a", "a.b**", "***"] {
            let e = PathPattern::parse(pattern).unwrap_err().to_string();
            assert!(e.contains(&format!("got `{pattern}`")), "{e}");
        }
    }
}
