//! `neurax inspect`: the stages of an example, from its trace to the compiled program.

use crate::output::print_line;
use clap::Args;
use neurax::Stages;
use neurax::prelude::*;
use neurax::runtime::Stage;
use neurax_examples::EXAMPLES;

#[derive(Args)]
pub struct Inspect {
    /// Name of the example; without it, all examples are listed.
    name: Option<String>,
    /// Print the result of this stage only, e.g. `trace` or `cse`; the compiler for the CPU has
    /// `lower`, `schedule`, `plan` and `kernels`. May be repeated.
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Print which operations are fused, which values are stored, and why steps were not fused,
    /// with source lines: short for `--stage schedule`.
    #[arg(long)]
    explain: bool,
}

impl Inspect {
    #[cfg(test)]
    pub fn of(name: &str) -> Inspect {
        Inspect { name: Some(name.into()), stage: vec![], explain: false }
    }

    pub fn run(self) -> Result<()> {
        let Some(name) = self.name else {
            let mut lines = EXAMPLES.iter().map(|e| format!("{:<16} {}", e.name, e.about));
            return lines.try_for_each(print_line);
        };
        let example = EXAMPLES.iter().find(|e| e.name == name).ok_or_else(|| unknown(&name))?;
        let wanted: Vec<&str> = self
            .stage
            .iter()
            .map(String::as_str)
            .chain(self.explain.then_some("schedule"))
            .collect();
        let stages = (example.stages)()?;
        let shown = if wanted.is_empty() { text(&stages) } else { chosen(&stages, &wanted)? };
        print_line(shown.trim_end())
    }
}

/// Formats the name, time and size of each stage, and its graph where the stage changed it.
fn text(stages: &Stages) -> String {
    let (mut out, mut before) = (String::new(), None);
    for stage in stages.list() {
        let graph = stage.text.as_ref().filter(|_| stage.is_graph());
        let unchanged = graph.is_some() && graph == before;
        out += &format!("{stage}{}\n", if unchanged { ", unchanged" } else { "" });
        if let Some(graph) = graph.filter(|_| !unchanged) {
            out += &format!("{graph}\n\n");
            before = Some(graph);
        }
    }
    out
}

/// Formats the full results of the stages named in `wanted`.
///
/// # Errors
/// Returns an error that lists all stages if one of `wanted` does not exist.
fn chosen(stages: &Stages, wanted: &[&str]) -> Result<String> {
    let is_called =
        |s: &Stage, name: &str| s.name == name || s.name.rsplit('/').next() == Some(name);
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !stages.list().iter().any(|s| is_called(s, name)))
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let mut names: Vec<&str> = vec![];
        for stage in stages.list() {
            if !names.contains(&stage.name.as_str()) {
                names.push(&stage.name);
            }
        }
        let why =
            format!("expected one of the stages {}, got {}", names.join(", "), missing.join(", "));
        return Err(Error::new("inspect", why));
    }
    let full = |s: &Stage| format!("{s}\n{}\n\n", s.text.as_deref().unwrap_or_default().trim_end());
    let is_wanted = |s: &&Stage| wanted.iter().any(|name| is_called(s, name));
    Ok(stages.list().iter().filter(is_wanted).map(full).collect())
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = EXAMPLES.iter().map(|e| e.name).collect();
    Error::new(
        "inspect",
        format!("expected one of the examples {}, got `{name}`", names.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: &[&str]) -> String {
        chosen(&(EXAMPLES[0].stages)().unwrap(), wanted).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn an_unchanged_graph_is_printed_once() {
        let shown = text(&(EXAMPLES[0].stages)().unwrap());
        assert!(shown.contains("passes/simplify") && shown.contains(", unchanged"), "{shown}");
        assert!(shown.matches("graph(").count() < shown.matches(" equations").count());
    }

    #[test]
    fn stages_are_selected_by_name() {
        let trace = shown(&["trace"]);
        assert!(trace.starts_with("trace ") && trace.matches(" equations").count() == 1, "{trace}");
        let both = shown(&["passes/cse", "trace"]);
        assert!(
            both.contains("passes/cse ") && both.contains("trace ") && !both.contains("dce"),
            "{both}"
        );
        let e = shown(&["trace", "nothing", "typo"]);
        assert!(e.contains("expected one of the stages trace, passes/"), "{e}");
        assert!(e.ends_with(", got `nothing`, `typo`"), "{e}");
    }
}
