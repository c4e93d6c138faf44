//! The report of all differences between a checkpoint and the variables of a model.

use std::collections::BTreeSet;
use std::fmt;

/// The most lines of a section.
const MAX_LISTED: usize = 50;

/// The differences between a checkpoint and the variables of a model: a line for each, which begins
/// with a path or a name.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// The variables without a tensor.
    pub missing: Vec<String>,
    /// The tensors without a variable.
    pub left_over: Vec<String>,
    /// The variables whose tensor has another shape, or a dtype to which it is not converted.
    other_type: Vec<String>,
    /// The variables with too many or too few tensors.
    other_count: Vec<String>,
    /// The paths of the variables in the last two lists, which are not missing.
    refused: BTreeSet<String>,
}

impl Differences {
    /// Adds a variable whose tensor has another shape or dtype.
    pub fn add_other_type(&mut self, path: &str, why: &str) {
        self.other_type.push(format!("{path}: {why}"));
        self.refused.insert(path.into());
    }

    /// Adds a variable with too many or too few tensors.
    pub fn add_other_count(&mut self, path: &str, why: &str) {
        self.other_count.push(format!("{path}: {why}"));
        self.refused.insert(path.into());
    }

    /// Returns true if a tensor of the variable at `path` was found and does not fit.
    pub fn is_refused(&self, path: &str) -> bool {
        self.refused.contains(path)
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.sections().iter().all(|(_, lines)| lines.is_empty())
    }

    /// Returns the title and the lines of each section.
    fn sections(&self) -> [(&'static str, &[String]); 4] {
        [
            ("missing in the checkpoint", &self.missing),
            ("left over in the checkpoint", &self.left_over),
            ("of another shape or dtype", &self.other_type),
            ("made of several tensors", &self.other_count),
        ]
    }
}

/// Formats a block of lines; of very long sections, the first lines. The last line
/// is a hint, to which the source line of the error is added.
impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the checkpoint does not fit the model\n")?;
        for (title, lines) in self.sections().iter().filter(|(_, lines)| !lines.is_empty()) {
            writeln!(f, "  {title}:")?;
            lines.iter().take(MAX_LISTED).try_for_each(|line| writeln!(f, "    {line}"))?;
            if lines.len() > MAX_LISTED {
                writeln!(f, "    and {} more", lines.len() - MAX_LISTED)?;
            }
        }
        f.write_str("rename, leave out or allow these with the rules of `Renames`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sections_are_cut() {
        let missing = (0..53).map(|i| format!("dense_{i}.bias")).collect();
        let report = Differences { missing, ..Differences::default() }.to_string();
        assert!(report.contains("    dense_49.bias\n    and 3 more\nrename"), "{report}");
        assert!(!Differences { left_over: vec!["x".into()], ..Differences::default() }.is_empty());
    }
}
