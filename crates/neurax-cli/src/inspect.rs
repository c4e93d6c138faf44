//! `neurax inspect`: the graphs of an example.

use clap::Args;
use neurax::prelude::*;
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
            EXAMPLES.iter().for_each(|e| println!("{:<16} {}", e.name, e.about));
            return Ok(());
        };
        let example = EXAMPLES.iter().find(|e| e.name == name).ok_or_else(|| unknown(&name))?;
        print!("{}", (example.stages)()?);
        Ok(())
    }
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = EXAMPLES.iter().map(|e| e.name).collect();
    Error::new("inspect", format!("there is no example `{name}`; there are {}", names.join(", ")))
}
