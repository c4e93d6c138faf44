//! Law 6, for the oracle itself: its backend computes what `eval` does. And backends that are wrong
//! are refused.

use neurax_interp::Interp;
use neurax_ir::{Graph, Literal, Op, Result, Sample};
use neurax_runtime::{Backend, Buffer, Executable};
use neurax_testkit::conformance;
use std::sync::Arc;

#[test]
fn the_oracle_conforms() {
    conformance::run(&Interp::new()).unwrap();
}

/// The oracle, given other programs than it should be.
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

/// The rows of those ops, and what is said about the backend on them.
fn refused(mistake: fn(&Graph) -> Result<Graph>, ops: &[&str]) -> String {
    let rows: Vec<Sample> =
        Op::samples().into_iter().filter(|s| ops.contains(&s.op.name())).collect();
    conformance::run_laws(&Wrong(mistake), conformance::ALL, &rows).unwrap_err()
}

#[test]
fn swapped_operands_are_found_where_the_order_matters() {
    let swapped = |g: &Graph| Graph::parse(&g.to_string().replace("(%0, %1)\n", "(%1, %0)\n"));
    let said = refused(swapped, &["subtract", "add"]);
    assert!(
        said.contains("subtract") && said.contains("law 6 backend") && !said.contains("add"),
        "{said}"
    );
}

#[test]
fn a_result_that_is_missing_or_almost_right_is_found() {
    let without = |g: &Graph| Graph::parse(&g.to_string().replace("return %1", "return"));
    assert!(refused(without, &["sine"]).contains("there are 0 values, not 1"));
    let coarse = |g: &Graph| Graph::parse(&g.to_string().replace("logistic(%0)", "tanh(%0)"));
    assert!(refused(coarse, &["logistic"]).contains("logistic"));
}

#[test]
fn a_backend_that_refuses_an_op_does_not_conform() {
    let said = refused(|_| Err(neurax_ir::Error::new("wrong", "it is not done yet")), &["sine"]);
    assert!(said.contains("it is not done yet"), "{said}");
}
