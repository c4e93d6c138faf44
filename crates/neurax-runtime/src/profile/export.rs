//! Profiles in the formats of other programs: traces and flame graphs.
//!
//! A trace (`chrome://tracing`, <https://ui.perfetto.dev>) shows the steps of one call on a line of
//! time, those of a loop below it. Folded stacks are the input of flame graphs: `inferno`,
//! `flamegraph.pl` and <https://www.speedscope.app> read them.
//!
//! Example: a step of 2 microseconds, with one equation of the layer `dense` at `main.rs:7:13`, is
//! the line `dense;main.rs:7:13;add 2000` of the folded stacks.

use super::{Profile, ProfiledStep, layer};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

impl Profile {
    /// Returns one call as a trace in the JSON format of Chrome, which Perfetto reads, too: each
    /// step with its layer, line, bytes and runs. The steps inside of a loop are drawn with the
    /// time of all their runs.
    ///
    /// <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>
    pub fn to_trace(&self) -> String {
        let mut ends: Vec<Duration> = vec![];
        let mut events = vec![];
        for step in &self.steps {
            // Of the steps around this one, and of its predecessor on the same level.
            ends.truncate(step.depth + 1);
            let start = match ends.get(step.depth) {
                Some(end) => *end,
                None => starts_inside(&events, step.depth),
            };
            ends.resize(step.depth, start);
            ends.push(start + step.time);
            events.push((start, step));
        }
        let events: Vec<Value> = events.iter().map(|(start, step)| event(*start, step)).collect();
        json!({ "displayTimeUnit": "ns", "traceEvents": events }).to_string()
    }

    /// Returns the time of each layer, line and op as folded stacks, the input of flame graphs: one
    /// line `layer;line;op N` for each, with `N` nanoseconds in one call. A layer inside of a layer
    /// is a frame inside of a frame.
    pub fn to_folded(&self) -> String {
        let mut stacks: BTreeMap<String, u128> = BTreeMap::new();
        for (i, step) in self.steps.iter().enumerate() {
            let (time, _) = self.own_share(i);
            for (op, origin) in step.parts() {
                let layer = layer(&origin);
                let layers = layer.split('/').filter(|l| !l.is_empty()).map(frame);
                let outside = layer.is_empty().then(|| "(no layer)".to_string());
                let line = frame(&origin.place.to_string());
                let frames: Vec<String> =
                    outside.into_iter().chain(layers).chain([line, frame(op)]).collect();
                *stacks.entry(frames.join(";")).or_default() += time.as_nanos();
            }
        }
        stacks.iter().map(|(stack, n)| format!("{stack} {n}\n")).collect()
    }
}

/// Returns the start of the step at `depth` around the one that comes next, the start of its first
/// inner step.
fn starts_inside(events: &[(Duration, &ProfiledStep)], depth: usize) -> Duration {
    let outer = events.iter().rev().find(|(_, step)| step.depth < depth);
    outer.map_or(Duration::ZERO, |(start, _)| *start)
}

/// Returns a step as an event with a duration, in microseconds.
fn event(start: Duration, step: &ProfiledStep) -> Value {
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let origin = step.equations.first().map(|(_, origin)| origin);
    json!({
        "name": step.op_names(),
        "cat": origin.map(layer).unwrap_or_default(),
        "ph": "X",
        "ts": micros(start),
        "dur": micros(step.time),
        "pid": 1,
        "tid": 1,
        "args": {
            "step": step.text,
            "layer": origin.map(layer).unwrap_or_default(),
            "line": origin.map(|o| o.place.to_string()).unwrap_or_default(),
            "bytes": step.bytes,
            "runs": step.runs,
        },
    })
}

/// Returns the name of a frame, without the characters that end one.
fn frame(name: &str) -> String {
    name.replace([';', '\n'], ",")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{step, steps};
    use super::*;

    #[test]
    fn steps_follow_each_other_and_those_of_a_loop_are_inside_of_it() {
        let trace: Value = serde_json::from_str(&Profile::new(steps(), 1).to_trace()).unwrap();
        let spans: Vec<(f64, f64)> = trace["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["ts"].as_f64().unwrap(), e["dur"].as_f64().unwrap()))
            .collect();
        let want = [(0.0, 100.0), (0.0, 30.0), (0.0, 20.0), (30.0, 40.0), (100.0, 5.0)];
        assert_eq!(spans, want);
        assert_eq!(trace["traceEvents"][1]["args"]["layer"], "one");
    }

    #[test]
    fn stacks_are_layers_lines_and_ops_and_their_sum_is_the_total() {
        let mut steps = steps();
        steps.push(step("main.rs:1;2", Some("encoder/dense"), 7, 0));
        let folded = Profile::new(steps, 1).to_folded();
        assert!(folded.contains("encoder;dense;main.rs:1,2;add 7000\n"), "{folded}");
        assert!(folded.contains("(no layer);c;add 20000\n"), "{folded}");
        let numbers = folded.lines().map(|l| l.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
        assert_eq!(numbers.sum::<u64>(), 112_000);
    }
}
