//! `neurax onnx run`: the outputs of a model.

use super::inputs::ModelArgs;
use super::invalid::invalid;
use super::literals;
use crate::output::{print_line, printable};
use crate::progress::ProgressLine;
use clap::Args;
use neurax::io::npy;
use neurax::onnx::OnnxValue;
use neurax::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// A folder to which each output that is a tensor is written, as NAME.npy. Characters that are
    /// no part of a file name become `_`, and names that are equal then get a number.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Prints one JSON object: the outputs with their types, and their values or files.
    #[arg(long)]
    pub json: bool,
}

/// An output of a model, and the file to which it was written.
struct RunOutput<'a> {
    name: &'a str,
    value: &'a OnnxValue,
    file: Option<PathBuf>,
}

impl RunArgs {
    pub fn run(&self) -> Result<()> {
        let progress = ProgressLine::new(format!("reading {}", self.model.file));
        let session = self.model.importer().open(&self.model.file)?;
        let values = self.model.values(&session)?;
        progress.step("compiling and running");
        let inputs = self.model.described(&session, &values)?;
        let values = self.model.run(&session, values, &inputs)?;
        drop(progress);
        let (mut outputs, mut taken) = (vec![], HashSet::new());
        for (name, value) in session.outputs().zip(&values) {
            let file = match &self.out {
                Some(folder) => written(&file_name(name, &mut taken), value, folder)?,
                None => None,
            };
            outputs.push(RunOutput { name, value, file });
        }
        match self.json {
            true => {
                let outputs = outputs.iter().map(RunOutput::as_json).collect::<Result<Vec<_>>>()?;
                print_line(json!({ "inputs": inputs, "outputs": outputs }))
            }
            false => outputs.iter().try_for_each(|y| y.print(self.out.is_some())),
        }
    }
}

impl RunOutput<'_> {
    /// Returns the output with its file, or with its value if it has none.
    fn as_json(&self) -> Result<Value> {
        let mut output = json!({ "name": self.name, "type": literals::type_name(self.value)? });
        match &self.file {
            Some(file) => output["file"] = json!(file),
            None => output["value"] = literals::as_json(self.value)?,
        }
        Ok(output)
    }

    fn print(&self, is_written: bool) -> Result<()> {
        let name = printable(self.name);
        print_line(format!("{name}: {}", text(self.value)?))?;
        match is_written && self.file.is_none() {
            true => print_line(format!("{name}: not written, as it is no tensor")),
            false => Ok(()),
        }
    }
}

/// Returns the name of the file of an output that no other output has, also where files are found
/// without regard to case.
fn file_name(output: &str, taken: &mut HashSet<String>) -> String {
    let is_other = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    let base = output.replace(is_other, "_");
    let numbered = (1..).map(|i| format!("{base}_{i}"));
    let mut names = [base.clone()].into_iter().chain(numbered);
    names.find(|name| taken.insert(name.to_lowercase())).unwrap_or(base) + ".npy"
}

/// Writes a tensor to a folder, and returns its file; `None` for other values.
fn written(file: &str, y: &OnnxValue, folder: &Path) -> Result<Option<PathBuf>> {
    let OnnxValue::Tensor(y) = y else { return Ok(None) };
    let failed = |e| invalid(format!("cannot write to {}: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = folder.join(file);
    npy::save(y, &file)?;
    Ok(Some(file))
}

/// Returns a value as text.
fn text(y: &OnnxValue) -> Result<String> {
    Ok(match y {
        OnnxValue::Tensor(y) => y.to_string(),
        OnnxValue::Strings(s) => format!("strings {:?}: {:?}", s.shape(), s.elements()),
        OnnxValue::Sequence(xs) => {
            let elements: Vec<String> = xs.iter().map(text).collect::<Result<_>>()?;
            format!("sequence of {}: [{}]", xs.len(), elements.join("; "))
        }
        OnnxValue::Map(entries) => {
            let entry =
                |(k, x): &(neurax::onnx::MapKey, OnnxValue)| Ok(format!("{k:?}: {}", text(x)?));
            format!("{{{}}}", entries.iter().map(entry).collect::<Result<Vec<_>>>()?.join(", "))
        }
        OnnxValue::Optional(None) => "none".into(),
        OnnxValue::Optional(Some(x)) => text(x)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_files_of_different_names() {
        let mut taken = HashSet::new();
        let names = ["a/b", "a_b", "A:B", "a_b_1", "x\n\u{1b}[31mred"];
        let files = names.map(|name| file_name(name, &mut taken));
        assert_eq!(files, ["a_b.npy", "a_b_1.npy", "A_B_2.npy", "a_b_1_1.npy", "x__[31mred.npy"]);
    }
}
