//! `neurax inspect`: the graphs of an example.

use crate::output::print_line;
use clap::Args;
use neurax::Stages;
use neurax::prelude::*;
use neurax::runtime::Stage;
use neurax_examples::EXAMPLES;

#[derive(Args)]
pub struct Inspect {
    /// The example; without one, all are listed.
    name: Option<String>,
    /// Only what this stage left, e.g. `trace`, `cse`; the compiler for the CPU has `lower`,
    /// `schedule`, `plan` and `kernels`. May be repeated.
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// What is computed together, what is in memory, and why not less, by line: short for `--stage
    /// schedule`.
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
            return EXAMPLES
                .iter()
                .try_for_each(|e| print_line(format!("{:<16} {}", e.name, e.about)));
        };
        let example = EXAMPLES.iter().find(|e| e.name == name).ok_or_else(|| unknown(&name))?;
        let wanted: Vec<&str> = self
            .stage
            .iter()
            .map(String::as_str)
            .chain(self.explain.then_some("schedule"))
            .collect();
        let stages = (example.stages)()?;
        print_line(
            if wanted.is_empty() { text(&stages) } else { chosen(&stages, &wanted)? }.trim_end(),
        )
    }
}

/// Name, time and size of each stage, and its graph where the stage changed it.
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

/// All that the wanted stages left.
fn chosen(stages: &Stages, wanted: &[&str]) -> Result<String> {
    let is_wanted = |s: &&Stage| {
        s.name.rsplit('/').next().is_some_and(|last| wanted.contains(&last))
            || wanted.contains(&s.name.as_str())
    };
    let full = |s: &Stage| format!("{s}\n{}\n\n", s.text.as_deref().unwrap_or_default().trim_end());
    let out: String = stages.list().iter().filter(is_wanted).map(full).collect();
    if out.is_empty() {
        let mut names: Vec<&str> = stages.list().iter().map(|s| s.name.as_str()).collect();
        names.dedup();
        return Err(Error::new(
            "inspect",
            format!("there is no stage {}; there are {}", wanted.join(" or "), names.join(", ")),
        ));
    }
    Ok(out)
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = EXAMPLES.iter().map(|e| e.name).collect();
    Error::new("inspect", format!("there is no example `{name}`; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: &[&str]) -> String {
        chosen(&(EXAMPLES[0].stages)().unwrap(), wanted).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn an_unchanged_graph_is_not_printed_again() {
        let shown = text(&(EXAMPLES[0].stages)().unwrap());
        assert!(shown.contains("passes/simplify") && shown.contains(", unchanged"), "{shown}");
        assert!(shown.matches("graph(").count() < shown.matches(" equations").count());
    }

    #[test]
    fn stages_are_shown_by_name() {
        let trace = shown(&["trace"]);
        assert!(trace.starts_with("trace ") && trace.matches(" equations").count() == 1, "{trace}");
        let both = shown(&["passes/cse", "trace"]);
        assert!(
            both.contains("passes/cse ") && both.contains("trace ") && !both.contains("dce"),
            "{both}"
        );
        let e = shown(&["nothing"]);
        assert!(e.contains("there is no stage nothing; there are trace, passes/"), "{e}");
    }
}
