//! Snapshots of the compiler's stages: how graphs are lowered and fused into steps, and where the
//! memory plan puts their buffers.
//!
//! A case is a graph in its text form, the text of one stage, and the facts that matter: the number
//! of steps, of kernels, of equations or of bytes. `UPDATE_EXPECT=1 cargo test -p neurax-native
//! --test fusion` rewrites the texts, not the facts: read the difference before you commit it.
//!
//! | file | cases |
//! |---|---|
//! | `elementwise` | elementwise ops and constants |
//! | `views` | broadcasts, transposes, slices, reshapes |
//! | `reductions` | reductions before, after and beside elementwise ops |
//! | `products` | matrix products, convolutions and their epilogues, windows |
//! | `movement` | gather, scatter, concatenate, pad, slices at run time |
//! | `control` | the bodies of loops and branches |
//! | `composites` | named composites of networks and their derivatives |
//! | `memory` | live ranges, in-place steps, donation |
//! | `lowering` | ops that become other ops |
//! | `not_fused` | one graph for each reason why two steps stay apart |
//!
//! No snapshot depends on the CPU: kernels are shown only of ops whose instructions are the same
//! with and without fused multiply-add.

mod composites;
mod control;
mod elementwise;
mod lowering;
mod memory;
mod movement;
mod not_fused;
mod products;
mod reductions;
mod views;

use expect_test::Expect;
use neurax_ir::Graph;
use neurax_native::Native;
use neurax_runtime::{Backend, Stage, Stages};

/// The most columns of a line of a snapshot.
const SNAPSHOT_COLUMNS: usize = 80;

/// A matrix product that is too small for the matrix kernel.
const SMALL_MATMUL: &str = "graph(%0: f32[4, 8], %1: f32[8, 4]) {
  %2: f32[4, 4] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
    rhs_contract=[0], dtype=f32](%0, %1)
  return %2
}";

/// The stages of one compiled graph.
struct Compiled(Stages);

/// Compiles `graph` and compares its schedule with `expected`: the buffers in memory, the steps,
/// and for steps that could share data why they are not fused.
#[track_caller]
fn check(graph: &str, expected: Expect) -> Compiled {
    compiled(graph).check("schedule", expected)
}

/// Compiles `graph` and compares its lowered graph with `expected`.
#[track_caller]
fn check_lowered(graph: &str, expected: Expect) -> Compiled {
    compiled(graph).check("lower", expected)
}

/// Compiles `graph` and compares its kernels with `expected`.
#[track_caller]
fn check_kernels(graph: &str, expected: Expect) -> Compiled {
    compiled(graph).check("kernels", expected)
}

/// Compiles `graph` and compares its memory plan with `expected`.
#[track_caller]
fn check_plan(graph: &str, expected: Expect) -> Compiled {
    compiled(graph).check("plan", expected)
}

/// Compiles the graph that `text` holds.
#[track_caller]
fn compiled(text: &str) -> Compiled {
    Compiled::of(&Graph::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}")))
}

impl Compiled {
    /// Compiles `graph`.
    #[track_caller]
    fn of(graph: &Graph) -> Compiled {
        let mut stages = Stages::with_texts();
        Native::new().unwrap().compile_logged(graph, 0, &mut stages).unwrap();
        Compiled(stages)
    }

    /// Compares the text of stage `name` with `expected`.
    #[track_caller]
    fn check(self, name: &str, expected: Expect) -> Compiled {
        let text = self.stage(name).text.as_deref().unwrap_or_default();
        expected.assert_eq(&text.trim_end().lines().map(wrapped).collect::<String>());
        self
    }

    /// Compares the reasons of the schedule why steps were not fused with `expected`.
    #[track_caller]
    fn check_refusals(self, expected: Expect) -> Compiled {
        expected.assert_eq(&self.refusals().into_iter().map(wrapped).collect::<String>());
        self
    }

    /// Asserts that the schedule has `count` steps.
    #[track_caller]
    fn has_steps(self, count: usize) -> Compiled {
        self.has("schedule", count)
    }

    /// Asserts that the schedule has `count` kernels, those of epilogues among them.
    #[track_caller]
    fn has_kernels(self, count: usize) -> Compiled {
        self.has("kernels", count)
    }

    /// Asserts that buffers and scratch memory together need a block of `bytes` bytes.
    #[track_caller]
    fn has_block(self, bytes: usize) -> Compiled {
        self.has("plan", bytes)
    }

    /// Asserts that stage `name` has the size `count`, in the unit of that stage.
    #[track_caller]
    fn has(self, name: &str, count: usize) -> Compiled {
        let stage = self.stage(name);
        assert_eq!(stage.size, count, "{} of stage {name}:\n{}", stage.unit, self.0);
        self
    }

    /// Asserts that the schedule names `count` pairs of steps that could not be fused.
    #[track_caller]
    fn has_refusals(self, count: usize) -> Compiled {
        assert_eq!(self.refusals().len(), count, "{}", self.0);
        self
    }

    /// Returns a line for each pair of steps that could not be fused: those behind the last step of
    /// the schedule. The indented lines between them name the operations of both steps.
    fn refusals(&self) -> Vec<&str> {
        let stage = self.stage("schedule");
        let last = format!("step {}:", stage.size.saturating_sub(1));
        let lines = stage.text.as_deref().unwrap_or_default().lines();
        let behind = lines.skip_while(|line| !line.starts_with(&last)).skip(1);
        behind.filter(|line| !line.is_empty() && !line.starts_with(' ')).collect()
    }

    /// Returns stage `native/name`.
    #[track_caller]
    fn stage(&self, name: &str) -> &Stage {
        let name = format!("native/{name}");
        let found = self.0.list().iter().find(|stage| stage.name == name);
        found.unwrap_or_else(|| panic!("no stage {name} in\n{}", self.0))
    }
}

/// Wraps `line` at [`SNAPSHOT_COLUMNS`] where it has spaces; later lines are indented.
fn wrapped(line: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    let indent = line.len() - line.trim_start().len();
    for word in line.trim_start().split(' ') {
        let is_first = column == 0;
        if !is_first && column + 1 + word.len() > SNAPSHOT_COLUMNS {
            out += "\n";
            column = indent + 4;
            out += &" ".repeat(column);
        } else if is_first {
            column = indent;
            out += &" ".repeat(column);
        } else {
            column += 1;
            out += " ";
        }
        column += word.len();
        out += word;
    }
    out + "\n"
}
