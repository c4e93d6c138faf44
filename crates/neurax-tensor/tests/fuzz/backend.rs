//! A backend that runs every program on the reference interpreter and, if the thread asks for it,
//! also on the compiler, and compares the results.

use neurax::{Backend, Literal, ir::Graph, prelude::*, runtime};
use neurax_interp::Interp;
use neurax_testkit::close::{Tolerance, close_within, epsilon};
use runtime::{Buffer, Executable};
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

thread_local! {
    /// True while programs also run on the compiler.
    static COMPILES: Cell<bool> = const { Cell::new(false) };
    /// True while results are compared.
    static COMPARES: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with programs that also run on the compiler if `compiles`, and whose results are
/// compared if `compares`.
pub fn with<T>(compiles: bool, compares: bool, f: impl FnOnce() -> T) -> T {
    COMPILES.set(compiles);
    COMPARES.set(compares);
    let result = f();
    COMPILES.set(false);
    result
}

/// The op of errors of this backend: the two devices differ.
pub const DIFFERS: &str = "differs";

#[derive(Debug, Default)]
pub struct Both {
    interp: Interp,
}

/// Makes the backend the default one.
pub fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let device = Device::from_backend(Arc::new(Both::default()), 0);
        device.and_then(neurax::set_default_device).unwrap();
    });
}

#[derive(Debug)]
struct Program {
    graph: Graph,
    interp: Arc<dyn Executable>,
    native: OnceLock<Result<Arc<dyn Executable>>>,
}

impl Backend for Both {
    fn name(&self) -> &str {
        "both"
    }

    fn devices(&self) -> usize {
        1
    }

    fn compile(&self, graph: &Graph, device: usize) -> Result<Arc<dyn Executable>> {
        let interp = self.interp.compile(graph, device)?;
        Ok(Arc::new(Program { graph: graph.clone(), interp, native: OnceLock::new() }))
    }

    fn upload(&self, value: Literal, device: usize) -> Result<Buffer> {
        self.interp.upload(value, device)
    }

    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        self.interp.download(buffer)
    }
}

impl Program {
    fn native(&self) -> Result<Arc<dyn Executable>> {
        let compile = || {
            let all = neurax::backends();
            let native = all.iter().find(|b| b.name() == "native");
            native.unwrap_or(&all[0]).compile(&self.graph, 0)
        };
        self.native.get_or_init(compile).clone()
    }

    /// Compares the results of the compiler with those of the interpreter.
    fn compare(&self, native: Result<Vec<Buffer>>, interp: &Result<Vec<Buffer>>) -> Result<()> {
        let differ = |what: String| Err(Error::new(DIFFERS, format!("{what}\n{}", self.graph)));
        match (native, interp) {
            (Ok(native), Ok(interp)) => {
                for (have, want) in native.iter().zip(interp) {
                    let (have, want) = (have.to_literal()?, want.to_literal()?);
                    if COMPARES.get()
                        && is_unique(&self.graph)
                        && let Err(e) = near(&have, &want)
                    {
                        return differ(e);
                    }
                }
                Ok(())
            }
            (Err(_), Err(_)) => Ok(()),
            (Err(e), Ok(_)) => differ(format!("only the compiler fails: {e}")),
            (Ok(_), Err(e)) => differ(format!("only the interpreter fails: {e}")),
        }
    }
}

impl Executable for Program {
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        if !COMPILES.get() {
            return self.interp.run(args);
        }
        let native = self.native().and_then(|program| program.run(args.clone()));
        let interp = self.interp.run(args);
        self.compare(native, &interp)?;
        interp
    }
}

/// Returns true if the results do not depend on the method of a factorization. Vectors of singular
/// values that are equal or 0 do, for instance, and random integers make many such matrices.
fn is_unique(graph: &Graph) -> bool {
    let methods = ["eig", "eigh", "qr", "schur", "svd"];
    graph
        .eqns()
        .iter()
        .all(|e| !methods.contains(&e.op.name()) && e.op.graphs().iter().all(|g| is_unique(g)))
}

/// Compares two results that may be rounded in a different order.
///
/// # Errors
/// The worst element.
pub fn near(have: &Literal, want: &Literal) -> Result<(), String> {
    if have.ty() != want.ty() {
        return Err(format!("expected {}, got {}", want.ty(), have.ty()));
    }
    let tolerance = Tolerance::both(4096.0 * epsilon(want.dtype()).min(1e-4));
    close_within(have, want, tolerance)
}
