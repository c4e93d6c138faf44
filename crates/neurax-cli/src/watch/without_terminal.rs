//! `neurax watch` in a build without the feature `watch`.

use neurax::{Error, Result};
use std::path::PathBuf;

/// Returns the error that says how to build the command with the dashboard.
pub fn watch(directory: PathBuf) -> Result<()> {
    let why = format!(
        "this program was built without the dashboard; run `cargo run --release -p neurax-cli \
         --features watch -- watch {0}`, or write a page with `neurax report {0}`",
        directory.display()
    );
    Err(Error::new("watch", why))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_error_names_the_feature() {
        let e = super::watch("runs/digits".into()).unwrap_err().to_string();
        assert!(e.contains("--features watch -- watch runs/digits"), "{e}");
    }
}
