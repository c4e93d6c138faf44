//! The compiler's explanations and errors name the user's lines.

use neurax_ir::{
    Axis, Batched, Bound, Builder, DType, Error, Graph, Literal, Place, Result, Tangent,
    Transposed, Type, Value,
    op::{AllReduce, Cond, Custom, CustomOp, ReduceKind, Scan, Unary},
};
use neurax_native::Native;
use neurax_runtime::{Backend, Stages};
use neurax_testkit::conformance;
use std::{panic::Location, sync::Arc};

/// Sets the origin of the next equations to the caller's line and returns it.
#[track_caller]
fn here(b: &mut Builder) -> String {
    let place = Location::caller();
    b.set_origin(Place::from(place).into());
    format!("{}:{}", place.file(), place.line())
}

fn graph(types: &[Type], f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Graph {
    conformance::graph(types, f).unwrap()
}

/// Returns the text of a stage.
fn stage(g: &Graph, name: &str) -> String {
    let mut stages = Stages::with_texts();
    Native::new().unwrap().compile_logged(g, 0, &mut stages).unwrap();
    let found = stages.list().iter().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("no {name} in\n{stages}")).text.clone().unwrap()
}

#[test]
fn two_lines_that_are_not_one_kernel_are_named_with_the_reason() {
    let (mut first, mut second) = (String::new(), String::new());
    let x = Type::new(DType::F32, [300, 40]);
    let g = graph(&[x], |b, x| {
        first = here(b);
        let rows = b.sum(x[0], &[1]);
        second = here(b);
        let columns = b.sum(x[0], &[0]);
        vec![rows, columns]
    });
    let text = stage(&g, "native/schedule");
    assert!(
        text.contains(
            "step 0 and step 1 were not fused: \
             the iteration spaces [300, (40)] and [(300), 40] differ\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(&format!("(reduce, at {first}:"))
            && text.contains(&format!("(reduce, at {second}:")),
        "{text}"
    );
    assert!(stage(&g, "native/kernels").matches("accumulate 0: sum").count() == 2);
}

#[test]
fn a_fused_value_has_no_buffer_and_no_note() {
    let x = Type::new(DType::F32, [300, 40]);
    let g = graph(&[x], |b, x| {
        let y = b.emit(Unary::Sqrt, &[x[0]]);
        let total = b.sum(y, &[1]);
        let total = b.unreduce(total, vec![300, 40], &[1]);
        vec![b.sub(x[0], total)]
    });
    let text = stage(&g, "native/schedule");
    assert!(
        text.contains("step 0: kernel 0 reads b0; writes ")
            && !text.contains("step 1")
            && !text.contains("not fused"),
        "{text}"
    );
    let plan = stage(&g, "native/plan");
    assert!(
        plan.contains("b0: f32[300, 40], in input 0\n") && plan.ends_with("block of 0 bytes"),
        "{plan}"
    );
}

#[test]
fn a_plan_names_possible_donations() {
    let g = graph(&[Type::new(DType::F32, [300])], |b, x| vec![b.emit(Unary::Sqrt, x)]);
    let plan = stage(&g, "native/plan");
    assert!(
        plan.contains("b1: f32[300], in output 0\noutput 0 may reuse input 0, if it is donated\n"),
        "{plan}"
    );
}

/// Returns a loop that adds three rows.
fn three_rows() -> Graph {
    let row = Type::new(DType::F32, [4]);
    let body = graph(&[row.clone(), row.clone()], |b, x| vec![b.add(x[0], x[1])]);
    let scan = Scan { body: Arc::new(body), length: 3, reverse: false, consts: 0, carries: 1 };
    graph(&[row, Type::new(DType::F32, [3, 4])], |b, x| b.emit_n(scan, x, 1).to_vec())
}

#[test]
fn loops_have_stages_of_their_own() {
    let g = three_rows();
    assert!(stage(&g, "native/scan-0/kernels").contains("= add %0, %1"));
    assert!(stage(&g, "native/schedule").contains("step 0: scan reads b0, b1; writes b2"));
    let all = Native::new().unwrap().explain(&g).unwrap();
    assert!(
        all.contains("native/lower ")
            && all.contains("native/plan ")
            && all.contains("native/scan-0/schedule "),
        "{all}"
    );
}

/// Returns zeros for the arguments of a graph.
fn zeros(g: &Graph) -> Vec<Literal> {
    g.input_types().iter().map(|t| Literal::zeros(t.clone())).collect()
}

#[test]
fn a_profile_has_the_steps_of_a_loop_below_it_with_how_often_they_run() {
    let g = three_rows();
    // Zero rounds count as one.
    for rounds in [0, 1, 4] {
        let text = Native::new().unwrap().profile(&g, &zeros(&g), rounds).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let [whole, inside] = lines[..] else { panic!("{text}") };
        assert!(
            whole.contains(" us  equation 0 reads b0, b1; writes b2") && !whole.ends_with("times)"),
            "{text}"
        );
        assert!(
            inside.contains(" us    kernel reads ") && inside.ends_with(" (3 times)"),
            "{text}"
        );
    }
}

#[test]
fn a_profile_says_which_branch_took_the_time() {
    let x = Type::new(DType::F32, [100_000]);
    let branches = [Unary::Tanh, Unary::Sin]
        .map(|f| Arc::new(graph(std::slice::from_ref(&x), |b, x| vec![b.emit(f, x)])));
    let g = graph(&[Type::scalar(DType::I32), x], |b, x| {
        vec![b.emit(Cond { branches: branches.to_vec() }, x)]
    });
    for taken in [0, 1] {
        let mut args = zeros(&g);
        args[0] = Literal::scalar(DType::I32, taken as f64);
        let text = Native::new().unwrap().profile(&g, &args, 3).unwrap();
        let inside = text.lines().filter(|l| l.contains(" us    "));
        let ran: Vec<bool> = inside.map(|l| !l.trim_start().starts_with("0.0 us")).collect();
        assert_eq!(ran, [taken == 0, taken == 1], "{text}");
    }
}

#[test]
fn a_profile_of_arguments_of_other_types_is_an_error() {
    let g = three_rows();
    let wide: Vec<Literal> =
        g.input_types().iter().map(|t| Literal::zeros(t.with_dtype(DType::F64))).collect();
    for args in [vec![], wide] {
        let e = Native::new().unwrap().profile(&g, &args, 1).unwrap_err();
        assert_eq!(e.op(), "profile");
        let types = |types: &[String]| types.join(", ");
        let (want, have) = (g.input_types(), args.iter().map(Literal::ty));
        let want = types(&want.iter().map(Type::to_string).collect::<Vec<_>>());
        let have = types(&have.map(Type::to_string).collect::<Vec<_>>());
        assert_eq!(e.message(), format!("expected arguments ({want}), got ({have})"));
    }
}

/// Returns the error of compiling or running a graph.
fn refused(g: &Graph) -> Error {
    let args = zeros(g).into_iter().map(Into::into).collect();
    Native::new().unwrap().compile(g, 0).and_then(|f| f.run(args)).unwrap_err()
}

#[test]
fn an_op_without_a_meaning_is_an_error_with_its_name_and_line() {
    let mut line = String::new();
    let x = Type::new(DType::F32, [4]);
    let body = graph(std::slice::from_ref(&x), |b, x| {
        line = here(b);
        vec![b.emit(AllReduce { kind: ReduceKind::Sum, axis: "i".into() }, x)]
    });
    let scan =
        Scan { body: Arc::new(body.clone()), length: 3, reverse: false, consts: 0, carries: 1 };
    let inside = graph(&[x], |b, x| b.emit_n(scan, x, 1).to_vec());
    for g in [body, inside] {
        let e = refused(&g);
        assert_eq!(e.op(), "all_reduce");
        assert!(e.to_string().contains(&format!("at {line}:")), "{e}");
    }
}

/// A custom op whose evaluation fails.
#[derive(Debug)]
struct Hopeless;

impl CustomOp for Hopeless {
    fn name(&self) -> &str {
        "hopeless"
    }

    fn params(&self) -> String {
        String::new()
    }

    fn has_effects(&self) -> bool {
        false
    }
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(xs.to_vec())
    }

    fn eval(&self, _: Vec<Literal>) -> Result<Vec<Literal>> {
        Err(Error::new("hopeless", "it has no result"))
    }

    fn jvp(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Result<Vec<Tangent>> {
        Err(Error::new("hopeless", "no derivative"))
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        _: &mut Builder,
        _: &Axis,
        _: &[Value],
        _: &[Option<usize>],
    ) -> Result<Batched> {
        Err(Error::new("hopeless", "no batches"))
    }
}

#[test]
fn a_failure_at_run_time_names_the_op_and_the_line_and_the_program_still_runs() {
    let mut line = String::new();
    let x = Type::new(DType::F32, [4]);
    let g = graph(&[x], |b, x| {
        let y = b.add(x[0], x[0]);
        line = here(b);
        vec![b.emit(Custom(Arc::new(Hopeless)), &[y])]
    });
    let f = Native::new().unwrap().compile(&g, 0).unwrap();
    for _ in 0..2 {
        let e =
            f.run(vec![Literal::zeros(g.input_types()[0].clone()).into()]).unwrap_err().to_string();
        assert!(
            e.starts_with("hopeless: it has no result, at ") && e.contains(&format!("{line}:")),
            "{e}"
        );
    }
    let e = f.run(vec![]).unwrap_err();
    assert_eq!(e.message(), "expected arguments (f32[4]), got ()");
}
