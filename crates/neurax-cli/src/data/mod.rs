//! `neurax data`: public data sets, downloaded to a folder.
//!
//! Nothing else in Neurax uses the network. The list is in [`catalog`], with the size and the
//! SHA-256 of every file; the feature `download` brings what fetches and checks them.

mod catalog;
#[cfg(feature = "download")]
mod checked_file;
#[cfg(feature = "download")]
mod fetch;
#[cfg(feature = "download")]
mod get;
#[cfg(feature = "download")]
mod unpack;
#[cfg(not(feature = "download"))]
mod without_download;

use crate::output::print_line;
use catalog::{CATALOG, CatalogSet, DATA_OP};
use clap::{Args, Subcommand};
use neurax::{Error, Result};
use std::path::PathBuf;

#[cfg(feature = "download")]
use get::get;
#[cfg(not(feature = "download"))]
use without_download::get;

/// A command for public data sets.
#[derive(Subcommand)]
pub enum DataCommand {
    /// Lists the data sets with their files, sizes and checksums.
    List,
    /// Downloads a data set, checks its files and unpacks them. Files that are already there are
    /// checked and kept, and a download that was cut off is continued.
    Get(GetArgs),
}

#[derive(Args)]
pub struct GetArgs {
    /// Name of the data set, as `neurax data list` shows it.
    name: String,
    /// Folder in which a folder with the name of the data set is made; by default `neurax` in the
    /// folder of caches of this system.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// URL of a folder to fetch the files from instead, such as that of a mirror.
    #[arg(long)]
    from: Option<String>,
}

impl DataCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the data set is not in the list, cannot be fetched or written, or has other contents.
    pub fn run(self) -> Result<()> {
        match self {
            DataCommand::List => list(),
            DataCommand::Get(args) => get(find(&args.name)?, args.dir, args.from.as_deref()),
        }
    }
}

/// Prints the list.
fn list() -> Result<()> {
    for set in CATALOG {
        print_line(format!("{}: {} ({})", set.name, set.about, set.page))?;
        print_line(format!("  read it with `{}`", set.reader))?;
        for file in set.files {
            print_line(format!("  {}", set.url(file, None)))?;
            print_line(format!("    {} bytes, sha256 {}", file.bytes, file.sha256))?;
        }
    }
    Ok(())
}

/// Returns the data set called `name`.
fn find(name: &str) -> Result<&'static CatalogSet> {
    CATALOG.iter().find(|set| set.name == name).ok_or_else(|| {
        let names: Vec<&str> = CATALOG.iter().map(|set| set.name).collect();
        let why = format!("expected one of the data sets {}, got `{name}`", names.join(", "));
        Error::new(DATA_OP, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = find("mnist2").err().unwrap().to_string();
        assert!(error.contains("mnist, fashion-mnist") && error.contains("`mnist2`"), "{error}");
        assert_eq!(find("cifar10").unwrap().files.len(), 1);
    }
}
