//! `neurax report`: the report of a run directory.

use crate::features::without_feature;
use crate::output::print_line;
use clap::Args;
use neurax::prelude::*;
use neurax::train::RunFiles;
use neurax_report::{Plot, page, run_plots};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of the page in the run directory.
const PAGE_FILE: &str = "report.html";
/// The size of images in relation to that of the SVG, for screens of high resolution.
#[cfg(feature = "png")]
const IMAGE_SCALE: f32 = 2.0;

#[derive(Args)]
pub struct ReportCommand {
    /// The directory of a run, as `train::RunDirectory` writes it.
    directory: PathBuf,
    /// File to write the HTML page to. Default: `report.html` in the directory.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder to write each plot to as SVG.
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Folder to write each plot to as PNG (a program with the feature `png`).
    #[arg(long, value_name = "FOLDER")]
    png: Option<PathBuf>,
}

impl ReportCommand {
    pub fn run(self) -> Result<()> {
        self.check_png()?;
        let files = RunFiles::read(&self.directory);
        if files.record.is_none() && files.lines.is_empty() {
            let why = format!("expected the directory of a run: {}", files.problems.join("; "));
            return Err(Error::new("report", why));
        }
        // A folder that cannot be made is an error before anything is written.
        for folder in self.svg.iter().chain(&self.png) {
            fs::create_dir_all(folder).map_err(|e| cannot_write(folder, &e))?;
        }
        let plots = run_plots(&files);
        if let Some(folder) = &self.svg {
            write_all(folder, "svg", &plots, |plot| plot.to_svg().map(String::into_bytes))?;
        }
        self.write_png(&plots)?;
        let out = self.out.unwrap_or_else(|| self.directory.join(PAGE_FILE));
        write(&out, page(&files).as_bytes())?;
        print_line(format!("report written to {}", out.display()))?;
        for problem in &files.problems {
            print_line(format!("warning: {problem}"))?;
        }
        Ok(())
    }

    #[cfg(feature = "png")]
    fn write_png(&self, plots: &[Plot]) -> Result<()> {
        let Some(folder) = &self.png else { return Ok(()) };
        write_all(folder, "png", plots, |plot| plot.to_png(IMAGE_SCALE))
    }

    #[cfg(not(feature = "png"))]
    fn write_png(&self, _: &[Plot]) -> Result<()> {
        Ok(())
    }

    /// Returns the error if images are asked for, and this program cannot draw them.
    fn check_png(&self) -> Result<()> {
        if self.png.is_none() || cfg!(feature = "png") {
            return Ok(());
        }
        let given = |(name, path): (&str, &Option<PathBuf>)| {
            path.iter().flat_map(|path| [name.to_string(), shown(path)]).collect::<Vec<_>>()
        };
        let options = [("--out", &self.out), ("--svg", &self.svg), ("--png", &self.png)];
        let mut arguments = vec!["report".to_string(), shown(&self.directory)];
        arguments.extend(options.into_iter().flat_map(given));
        let instead = "or use `--svg`, which needs no feature";
        Err(without_feature("report", "png", &arguments, instead))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes each plot to a file of its name in `folder`.
fn write_all(
    folder: &Path,
    extension: &str,
    plots: &[Plot],
    draw: impl Fn(&Plot) -> Result<Vec<u8>>,
) -> Result<()> {
    for (plot, name) in plots.iter().zip(file_names(plots)) {
        write(&folder.join(format!("{name}.{extension}")), &draw(plot)?)?;
    }
    print_line(format!("{} plots written to {}", plots.len(), folder.display()))
}

/// Returns a name for the file of each plot; of equal ones, the later ones have a number.
fn file_names(plots: &[Plot]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut free_name = |plot: &Plot| {
        let name = plot.file_name();
        let (mut free, mut number) = (name.clone(), 1);
        while !taken.insert(free.clone()) {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    };
    plots.iter().map(&mut free_name).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| cannot_write(path, &e))
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    Error::new("report", format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_of_one_name_have_files_of_their_numbers() {
        let plots = ["Loss", "loss", "loss 2", "loss"].map(|x| Plot::lines(x, "epoch", vec![]));
        assert_eq!(file_names(&plots), ["loss", "loss-2", "loss-2-2", "loss-3"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_before_the_page_is_written() {
        let directory = std::env::temp_dir().join(format!("neurax-svg-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let log = directory.join("metrics.jsonl");
        fs::write(&log, "").unwrap();
        fs::write(directory.join("run.json"), "{}").unwrap();
        let line = r#"{"event":"epoch","epoch":0,"step":1,"time":0,"train":{"loss":1.0}}"#;
        fs::write(&log, format!("{line}\n")).unwrap();
        let command = |svg: PathBuf| ReportCommand {
            directory: directory.clone(),
            out: None,
            svg: Some(svg),
            png: None,
        };
        let e = command(log.join("plots")).run().unwrap_err().to_string();
        assert!(e.contains("cannot write") && e.contains("plots"), "{e}");
        assert!(!directory.join(PAGE_FILE).exists());
        command(directory.join("a/b")).run().unwrap();
        assert!(directory.join(PAGE_FILE).exists() && directory.join("a/b/loss.svg").exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(not(feature = "png"))]
    #[test]
    fn png_without_the_feature_fails_before_the_page_is_written() {
        let directory = std::env::temp_dir().join(format!("neurax-png-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("metrics.jsonl"), "").unwrap();
        let png = Some(directory.join("plots"));
        let command = ReportCommand { directory: directory.clone(), out: None, svg: None, png };
        let e = command.run().unwrap_err().to_string();
        assert!(e.contains("--features png -- report ") && e.contains(" --png "), "{e}");
        assert!(!directory.join(PAGE_FILE).exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(not(feature = "png"))]
    #[test]
    fn the_command_with_png_has_all_options() {
        let path = |name: &str| Some(PathBuf::from(name));
        let (directory, out, png) = ("runs/digits".into(), path("page.html"), path("plots"));
        let command = ReportCommand { directory, out, svg: None, png };
        let e = command.run().unwrap_err().to_string();
        let want = "--features png -- report runs/digits --out page.html --png plots`";
        assert!(e.contains(want), "{e}");
        assert!(e.ends_with("; or use `--svg`, which needs no feature"), "{e}");
    }
}
