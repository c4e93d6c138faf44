//! `neurax watch` in a build without the feature `watch`.

use crate::features::without_feature;
use neurax::Result;
use neurax_report::shell_command;
use std::path::PathBuf;

/// Returns the error that says how to build the command with the dashboard.
pub fn watch(directory: PathBuf) -> Result<()> {
    let directory = directory.display().to_string();
    let report = shell_command(&["neurax".into(), "report".into(), directory.clone()]);
    let instead = format!("or write a page with `{report}`");
    Err(without_feature("watch", "watch", &["watch".into(), directory], &instead))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_error_names_the_feature_and_the_report() {
        let e = super::watch("runs/digits".into()).unwrap_err().to_string();
        assert!(e.contains("--features watch -- watch runs/digits`"), "{e}");
        assert!(e.ends_with("; or write a page with `neurax report runs/digits`"), "{e}");
    }
}
