//! [`Profile`]: time and bytes of a program by step, layer, op and source line.

mod export;

use neurax_ir::Origin;
use std::{borrow::Cow, fmt, time::Duration};

/// The time of a program and the sizes of the arrays that it accesses by step, layer, op and source
/// line: the average over several calls. It prints as four tables.
///
/// A step of a fusing compiler computes several equations in one loop nest. The tables of layers,
/// ops and lines divide a step equally among its equations, so they are estimates where a step has
/// equations of several of them; the table of steps is measured.
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
    /// The bytes that one run reads and writes: those of its arrays, each once for reading and once
    /// for writing, whether they are in a cache or not, and as a whole if only some elements are
    /// accessed. The bytes of a loop are those of its arrays outside of it.
    pub bytes: u64,
    /// The number of loops and branches around the step. Their steps follow them in the list, and
    /// the time of a loop includes that of its steps.
    pub depth: usize,
}

/// The share of a layer, an op or a line in a [`Profile`].
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRow {
    /// The path of the layer, the name of the op, or the line. The path of equations outside of
    /// layers is empty.
    pub name: String,
    /// The time in one call.
    pub time: Duration,
    /// The bytes of the arrays that are read and written in one call: see [`ProfiledStep::bytes`].
    pub bytes: f64,
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

    /// Returns the share of each layer, longest first.
    pub fn by_layer(&self) -> Vec<ProfileRow> {
        self.by(|_, origin| layer(origin))
    }

    /// Returns the share of each op, longest first.
    pub fn by_op(&self) -> Vec<ProfileRow> {
        self.by(|op, _| op.to_string())
    }

    /// Returns the share of each source line, longest first.
    pub fn by_line(&self) -> Vec<ProfileRow> {
        self.by(|_, origin| origin.place.to_string())
    }

    /// Returns the sums over the equations of each name, longest first.
    fn by(&self, name: impl Fn(&str, &Origin) -> String) -> Vec<ProfileRow> {
        let mut rows: Vec<ProfileRow> = vec![];
        for (i, step) in self.steps.iter().enumerate() {
            let (time, bytes) = self.own_share(i);
            for (op, origin) in step.parts() {
                let name = name(op, &origin);
                match rows.iter_mut().find(|row| row.name == name) {
                    Some(row) => (row.time, row.bytes) = (row.time + time, row.bytes + bytes),
                    None => rows.push(ProfileRow { name, time, bytes }),
                }
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.time));
        rows
    }

    /// Returns the time and the bytes of each equation of step `i` in one call, without the steps
    /// inside of it.
    fn own_share(&self, i: usize) -> (Duration, f64) {
        let step = &self.steps[i];
        let n = step.equations.len().max(1) as u32;
        let has_inner = self.inner(i).next().is_some();
        let bytes = if has_inner { 0.0 } else { step.bytes as f64 * step.runs };
        (self.own_time(i) / n, bytes / n as f64)
    }

    /// Returns the time of step `i` without the steps inside of it.
    fn own_time(&self, i: usize) -> Duration {
        let step = &self.steps[i];
        let inside = self.inner(i).filter(|s| s.depth == step.depth + 1).map(|s| s.time);
        step.time.saturating_sub(inside.sum())
    }

    /// Returns the steps inside of step `i`.
    fn inner(&self, i: usize) -> impl Iterator<Item = &ProfiledStep> {
        let depth = self.steps[i].depth;
        self.steps[i + 1..].iter().take_while(move |s| s.depth > depth)
    }
}

/// Returns the path of the layer of an equation, empty if it has none.
fn layer(origin: &Origin) -> String {
    origin.path.as_ref().map_or(String::new(), |p| p.to_string())
}

impl ProfiledStep {
    /// Returns the equations of the step; of one without equations, such as a copy, its text.
    fn parts(&self) -> Vec<(&str, Cow<'_, Origin>)> {
        if self.equations.is_empty() {
            return vec![(&self.text, Cow::Owned(Origin::default()))];
        }
        self.equations.iter().map(|(op, origin)| (*op, Cow::Borrowed(origin))).collect()
    }

    /// Returns the names of the ops of the step, each once.
    fn op_names(&self) -> String {
        let mut names: Vec<&str> = vec![];
        for (name, _) in &self.equations {
            if !names.contains(name) {
                names.push(name);
            }
        }
        if names.is_empty() { self.text.clone() } else { names.join(" ") }
    }

    /// Returns the ops of the step, each once, with the line of the first of them.
    fn ops(&self) -> String {
        match self.equations.first() {
            Some((_, origin)) => format!("{}, at {}", self.op_names(), origin.place),
            None => self.text.clone(),
        }
    }
}

/// Returns microseconds with one digit after the point.
fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

/// Returns a number of runs, with two digits after the point if it is not whole.
fn runs(n: f64) -> String {
    if n.fract() == 0.0 { n.to_string() } else { format!("{n:.2}") }
}

/// Returns a number of bytes in kB, MB or GB.
fn size(bytes: f64) -> String {
    match bytes {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
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
        if self.runs == 1.0 { Ok(()) } else { write!(f, " ({} times)", runs(self.runs)) }
    }
}

impl fmt::Display for Profile {
    /// Formats the total and four tables: steps, layers, ops, lines.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let total = self.total();
        let share = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-12);
        let calls = if self.calls == 1 { "1 call".into() } else { format!("{} calls", self.calls) };
        writeln!(f, "{} for a call, the average of {calls}", micros(total))?;
        writeln!(f, "\n{:>12}  {:>6}  {:>9}  {:>8}  step", "time", "share", "bytes", "runs")?;
        for s in &self.steps {
            let (time, share, bytes) = (micros(s.time), share(s.time), size(s.bytes as f64));
            let (ops, indent) = (s.ops(), 2 * s.depth);
            write!(f, "{time:>12}  {share:>5.1}%  {bytes:>9}  {:>8}  ", runs(s.runs))?;
            writeln!(f, "{:indent$}{ops}", "")?;
        }
        let tables = [("layer", self.by_layer()), ("op", self.by_op()), ("line", self.by_line())];
        for (title, rows) in tables {
            writeln!(f, "\n{:>12}  {:>6}  {:>9}  {title}", "time", "share", "bytes")?;
            for ProfileRow { name, time, bytes } in rows {
                let name = if name.is_empty() { "(none)" } else { &name };
                let (bytes, percent) = (size(bytes), share(time));
                writeln!(f, "{:>12}  {percent:>5.1}%  {bytes:>9}  {name}", micros(time))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use neurax_ir::Place;

    pub fn step(place: &str, layer: Option<&str>, micros: u64, depth: usize) -> ProfiledStep {
        let origin = Origin { path: layer.map(Into::into), ..Origin::from(Place::named(place)) };
        let time = Duration::from_micros(micros);
        let (text, equations) = ("kernel".into(), vec![("add", origin)]);
        ProfiledStep { equations, text, time, runs: 1.0, bytes: 8 * micros, depth }
    }

    pub fn steps() -> Vec<ProfiledStep> {
        vec![
            step("a", Some("one"), 100, 0),
            step("b", Some("one"), 30, 1),
            step("c", None, 20, 2),
            step("b", Some("two"), 40, 1),
            step("a", None, 5, 0),
        ]
    }

    #[test]
    fn the_time_of_a_loop_is_not_counted_twice() {
        let p = Profile::new(steps(), 3);
        assert_eq!(p.total(), Duration::from_micros(105));
        let us = |rows: Vec<ProfileRow>| -> Vec<(String, u128)> {
            rows.into_iter().map(|row| (row.name, row.time.as_micros())).collect()
        };
        let sums = |all: &[(&str, u128)]| -> Vec<(String, u128)> {
            all.iter().map(|(name, t)| (name.to_string(), *t)).collect()
        };
        assert_eq!(us(p.by_line()), sums(&[("b", 50), ("a", 35), ("c", 20)]));
        assert_eq!(us(p.by_layer()), sums(&[("one", 40), ("two", 40), ("", 25)]));
        assert_eq!(us(p.by_op()), sums(&[("add", 105)]));
    }

    #[test]
    fn a_step_without_equations_is_listed_by_its_text() {
        let copy = ProfiledStep { equations: vec![], text: "copy".into(), ..step("a", None, 7, 0) };
        let p = Profile::new(vec![copy, step("a", None, 1, 0)], 1);
        assert_eq!(p.by_op()[0].name, "copy");
        assert_eq!(p.by_op().iter().map(|row| row.time).sum::<Duration>(), p.total());
        let third = ProfiledStep { runs: 1.0 / 3.0, ..step("a", None, 1, 0) };
        assert!(third.to_string().ends_with("kernel (0.33 times)"), "{third}");
    }

    #[test]
    fn bytes_are_those_of_the_innermost_steps_in_all_their_runs() {
        let mut steps = steps();
        steps[2].runs = 10.0;
        let p = Profile::new(steps, 1);
        let bytes =
            |rows: Vec<ProfileRow>| -> Vec<f64> { rows.into_iter().map(|row| row.bytes).collect() };
        assert_eq!(bytes(p.by_line()), [320.0, 40.0, 1600.0]);
        assert_eq!(bytes(p.by_op()), [1960.0]);
    }
}
