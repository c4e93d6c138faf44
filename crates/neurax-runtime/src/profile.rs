//! [`Profile`]: the time of a program by step, layer and source line.

use neurax_ir::Origin;
use std::{fmt, time::Duration};

/// The time of a program by step, layer and source line: the average over several calls. It prints
/// as three tables.
///
/// A step of a fusing compiler computes several equations in one loop nest. The tables of layers
/// and lines divide the time of a step equally among its equations, so they are estimates where a
/// step has equations of several layers or lines; the table of steps is measured.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    steps: Vec<ProfiledStep>,
    calls: u32,
}

/// A step of a program and its time.
#[derive(Clone, Debug)]
pub struct ProfiledStep {
    /// The equations that the step computes: the op and the origin of each.
    pub equations: Vec<(&'static str, Origin)>,
    /// The step in the words of the backend, which `explain` and `neurax inspect` use, too.
    pub text: String,
    /// The time of all its runs in one call.
    pub time: Duration,
    /// The number of its runs in one call: more than one in a loop, less in a branch that is not
    /// always taken.
    pub runs: f64,
    /// The number of loops and branches around the step. Their steps follow them in the list, and
    /// the time of a loop includes that of its steps.
    pub depth: usize,
}

impl Profile {
    /// Creates a profile of steps whose times are averages over `calls` calls.
    pub fn new(steps: Vec<ProfiledStep>, calls: u32) -> Profile {
        Profile { steps, calls }
    }

    /// Returns the steps in the order in which they run; those of a loop or branch follow it.
    pub fn steps(&self) -> &[ProfiledStep] {
        &self.steps
    }

    /// Returns the number of calls over which the times are averaged.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Returns the time of all steps in one call.
    pub fn total(&self) -> Duration {
        self.steps.iter().filter(|s| s.depth == 0).map(|s| s.time).sum()
    }

    /// Returns the time of each layer in one call, by the path of the layer, longest first. The
    /// path of equations outside of layers is empty.
    pub fn by_layer(&self) -> Vec<(String, Duration)> {
        self.by(|o| o.path.as_ref().map_or(String::new(), |p| p.to_string()))
    }

    /// Returns the time of each source line in one call, longest first.
    pub fn by_line(&self) -> Vec<(String, Duration)> {
        self.by(|o| o.place.to_string())
    }

    /// Returns the sum of the times of the equations of each name, longest first.
    fn by(&self, name: impl Fn(&Origin) -> String) -> Vec<(String, Duration)> {
        let mut sums: Vec<(String, Duration)> = vec![];
        for (i, step) in self.steps.iter().enumerate() {
            let each = self.own_time(i) / step.equations.len().max(1) as u32;
            for (_, origin) in &step.equations {
                let name = name(origin);
                match sums.iter_mut().find(|s| s.0 == name) {
                    Some((_, sum)) => *sum += each,
                    None => sums.push((name, each)),
                }
            }
        }
        sums.sort_by_key(|s| std::cmp::Reverse(s.1));
        sums
    }

    /// Returns the time of step `i` without the steps inside of it.
    fn own_time(&self, i: usize) -> Duration {
        let step = &self.steps[i];
        let inside = self.steps[i + 1..].iter().take_while(|s| s.depth > step.depth);
        let inside = inside.filter(|s| s.depth == step.depth + 1).map(|s| s.time);
        step.time.saturating_sub(inside.sum())
    }
}

impl ProfiledStep {
    /// Returns the ops of the step, each once, with the line of the first of them.
    fn ops(&self) -> String {
        let mut names: Vec<&str> = vec![];
        for (name, _) in &self.equations {
            if !names.contains(name) {
                names.push(name);
            }
        }
        match self.equations.first() {
            Some((_, origin)) => format!("{}, at {}", names.join(" "), origin.place),
            None => self.text.clone(),
        }
    }
}

/// Returns microseconds with one digit after the point.
fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

impl fmt::Display for ProfiledStep {
    /// Formats the time and the step in the words of the backend, indented by its depth.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:>12}  {:indent$}{}",
            micros(self.time),
            "",
            self.text,
            indent = 2 * self.depth
        )?;
        if self.runs == 1.0 { Ok(()) } else { write!(f, " ({} times)", self.runs) }
    }
}

impl fmt::Display for Profile {
    /// Formats the total and three tables: steps, layers, lines.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let total = self.total();
        let share = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-12);
        let calls = if self.calls == 1 { "1 call".into() } else { format!("{} calls", self.calls) };
        writeln!(f, "{} for a call, the average of {calls}", micros(total))?;
        writeln!(f, "\n{:>12}  {:>6}  {:>8}  step", "time", "share", "runs")?;
        for s in &self.steps {
            let (time, share, ops) = (micros(s.time), share(s.time), s.ops());
            let indent = 2 * s.depth;
            writeln!(f, "{time:>12}  {share:>5.1}%  {:>8}  {:indent$}{ops}", s.runs, "")?;
        }
        for (title, sums) in [("layer", self.by_layer()), ("line", self.by_line())] {
            writeln!(f, "\n{:>12}  {:>6}  {title}", "time", "share")?;
            for (name, time) in sums {
                let name = if name.is_empty() { "(none)" } else { &name };
                writeln!(f, "{:>12}  {:>5.1}%  {name}", micros(time), share(time))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_ir::Place;

    fn step(place: &str, layer: Option<&str>, micros: u64, depth: usize) -> ProfiledStep {
        let origin = Origin { path: layer.map(Into::into), ..Origin::from(Place::named(place)) };
        let time = Duration::from_micros(micros);
        let text = "kernel".into();
        ProfiledStep { equations: vec![("add", origin)], text, time, runs: 1.0, depth }
    }

    #[test]
    fn the_time_of_a_loop_is_not_counted_twice() {
        let steps = vec![
            step("a", Some("one"), 100, 0),
            step("b", Some("one"), 30, 1),
            step("c", None, 20, 2),
            step("b", Some("two"), 40, 1),
            step("a", None, 5, 0),
        ];
        let p = Profile::new(steps, 3);
        assert_eq!(p.total(), Duration::from_micros(105));
        let us = |sums: Vec<(String, Duration)>| -> Vec<(String, u128)> {
            sums.into_iter().map(|(name, t)| (name, t.as_micros())).collect()
        };
        let sums = |all: &[(&str, u128)]| -> Vec<(String, u128)> {
            all.iter().map(|(name, t)| (name.to_string(), *t)).collect()
        };
        assert_eq!(us(p.by_line()), sums(&[("b", 50), ("a", 35), ("c", 20)]));
        assert_eq!(us(p.by_layer()), sums(&[("one", 40), ("two", 40), ("", 25)]));
    }
}
