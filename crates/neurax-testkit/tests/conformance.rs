//! Conformance of the reference interpreter: its backend computes the same values as `eval`. Also
//! tests that conformance rejects wrong backends.

use neurax_interp::Interp;
use neurax_ir::{Builder, DType, Graph, Literal, Op, Result, Sample, Value};
use neurax_runtime::{Backend, Buffer, Executable};
use neurax_testkit::conformance;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[test]
fn the_reference_interpreter_conforms() {
    conformance::run(&Interp::new()).unwrap();
}

/// The reference interpreter, with each program replaced by a wrong one.
#[derive(Debug)]
struct Wrong(fn(&Graph) -> Result<Graph>);

impl Backend for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn devices(&self) -> usize {
        1
    }

    fn compile(&self, graph: &Graph, device: usize) -> Result<Arc<dyn Executable>> {
        Interp::new().compile(&(self.0)(graph)?, device)
    }

    fn upload(&self, value: Literal, device: usize) -> Result<Buffer> {
        Interp::new().upload(value, device)
    }

    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        Interp::new().download(buffer)
    }
}

/// Returns the report of conformance for a backend with a `mistake`, on the rows of `ops`.
fn refused(mistake: fn(&Graph) -> Result<Graph>, ops: &[&str]) -> String {
    let rows: Vec<Sample> =
        Op::samples().into_iter().filter(|s| ops.contains(&s.op.name())).collect();
    conformance::run_laws(&Wrong(mistake), conformance::BACKEND_LAWS, &rows).unwrap_err()
}

#[test]
fn swapped_operands_are_detected_where_the_order_matters() {
    let swapped = |g: &Graph| Graph::parse(&g.to_string().replace("(%0, %1)\n", "(%1, %0)\n"));
    let said = refused(swapped, &["subtract", "add"]);
    assert!(
        said.contains("subtract") && said.contains("law backend") && !said.contains("add"),
        "{said}"
    );
}

#[test]
fn a_missing_or_inaccurate_result_is_detected() {
    let without = |g: &Graph| Graph::parse(&g.to_string().replace("return %1", "return"));
    assert!(refused(without, &["sine"]).contains("expected 1 values, got 0"));
    let coarse = |g: &Graph| Graph::parse(&g.to_string().replace("logistic(%0)", "tanh(%0)"));
    assert!(refused(coarse, &["logistic"]).contains("logistic"));
}

#[test]
fn a_backend_that_rejects_an_op_does_not_conform() {
    let said = refused(|_| Err(neurax_ir::Error::new("wrong", "not implemented")), &["sine"]);
    assert!(said.contains("not implemented"), "{said}");
}

#[test]
fn an_inexact_result_is_not_exact() {
    let double = |b: &mut Builder, xs: &[Value]| vec![b.add(xs[0], xs[0])];
    let x = [Literal::from_f64s(DType::F32, [2], &[1.0, f64::NAN])];
    let doubled = conformance::check_exact(&Interp::new(), &x, double);
    assert!(doubled[0].to_f64s()[0] == 2.0 && doubled[0].to_f64s()[1].is_nan());
    let nearly = |g: &Graph| Graph::parse(&g.to_string().replace("add(%0, %0)", "exponential(%0)"));
    let refused = catch_unwind(AssertUnwindSafe(|| {
        conformance::check_exact(&Wrong(nearly), &x, double);
    }));
    let said = refused.unwrap_err().downcast::<String>().unwrap();
    assert!(said.starts_with("value 0: ") && said.contains("add(%0, %0)"), "{said}");
}
