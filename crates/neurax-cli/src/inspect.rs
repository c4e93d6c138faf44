//! `neurax inspect`: the graphs of an example.

use crate::say::say;
use clap::Args;
use neurax::Stages;
use neurax::prelude::*;
use neurax::runtime::Stage;
use neurax_examples::EXAMPLES;

#[derive(Args)]
pub struct Inspect {
    /// The example; without one, all are listed.
    name: Option<String>,
}

impl Inspect {
    #[cfg(test)]
    pub fn of(name: &str) -> Inspect {
        Inspect { name: Some(name.into()) }
    }

    pub fn run(self) -> Result<()> {
        let Some(name) = self.name else {
            return EXAMPLES.iter().try_for_each(|e| say(format!("{:<16} {}", e.name, e.about)));
        };
        let example = EXAMPLES.iter().find(|e| e.name == name).ok_or_else(|| unknown(&name))?;
        say(text(&(example.stages)()?).trim_end())
    }
}

/// Name, time and size of each stage, and its graph where the stage changed it.
fn text(stages: &Stages) -> String {
    let (mut out, mut before) = (String::new(), None);
    for Stage { name, time, eqns, graph } in stages.list() {
        out += &format!("{name:<24} {time:>10.1?} {eqns:>6} equations{}\n", if *graph == before { ", unchanged" } else { "" });
        if let Some(graph) = graph.as_ref().filter(|g| Some(*g) != before.as_ref()) {
            out += &format!("{graph}\n\n");
        }
        before = graph.clone();
    }
    out
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = EXAMPLES.iter().map(|e| e.name).collect();
    Error::new("inspect", format!("there is no example `{name}`; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_graph_is_not_printed_again() {
        let shown = text(&(EXAMPLES[0].stages)().unwrap());
        assert!(shown.contains("passes/simplify") && shown.contains(", unchanged"), "{shown}");
        assert!(shown.matches("graph(").count() < shown.matches(" equations").count());
    }
}
