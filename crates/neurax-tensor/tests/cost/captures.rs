//! Captured weights are neither copied nor hashed.

use crate::counting::Counting;
use neurax::prelude::*;
use neurax::{Literal, ir};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Memory that counts its accesses: every copy, comparison or hash is visible.
struct Watched {
    bytes: Vec<u8>,
    looks: AtomicUsize,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        self.looks.fetch_add(1, Relaxed);
        &self.bytes
    }
}

impl Watched {
    fn new(ty: &Type) -> Result<Arc<Watched>> {
        Ok(Arc::new(Watched { bytes: vec![0; ty.bytes()?], looks: AtomicUsize::new(0) }))
    }

    fn tensor(self: &Arc<Watched>, ty: Type) -> Result<Tensor> {
        let window = ir::Bytes::borrowed(self.clone(), 0..ty.bytes()?).unwrap();
        Ok(Tensor::from(Literal::new(ty, window)?))
    }

    /// Returns the number of accesses since the last call.
    fn looks(&self) -> usize {
        self.looks.swap(0, Relaxed)
    }
}

/// Returns the size in bytes of the constants in a graph and its subgraphs.
fn constants(g: &ir::Graph) -> usize {
    let one = |op: &ir::Op| match op {
        ir::Op::Constant(c) => c.value.bytes().len(),
        op => op.graphs().iter().map(|g| constants(g)).sum(),
    };
    g.eqns().iter().map(|e| one(&e.op)).sum()
}

#[test]
fn a_hundred_megabytes_are_captured_without_reading_them() -> Result<()> {
    let backend = Counting::default();
    let device = backend.device()?;
    let ty = Type::new(F32, [25 << 20]);
    let memory = Watched::new(&ty)?;
    let weights = memory.tensor(ty.clone())?.on(&device);
    let (address, x) = (weights.address(), tensor(2.0).on(&device));
    let (moved, references) = (backend.moved(), Arc::strong_count(&memory));
    memory.looks();

    let loss = |x: Tensor| (&weights * x).slice(0, 0..2).sum(..);
    let value = jit(loss);
    let compiled = [
        value.compile(types![f32[]])?,
        jit(grad(loss)).compile(types![f32[]])?,
        jit(grad(checkpoint(loss))).compile(types![f32[]])?,
        jit(|x: Tensor| fori(0..3, x, |_, x| loss(x))).compile(types![f32[]])?,
        jit(|x: Tensor| vmap(loss)(stack([&x, &x], 0)).sum(..)).compile(types![f32[]])?,
    ];
    let graph = value.stages(&x, true)?.list()[0].text.clone();
    assert!(
        graph.is_some_and(|g| g.contains(&ty.to_string()) && g.len() < 1000),
        "the weights are an input of the graph"
    );
    let looks = memory.looks();
    assert!(
        looks <= 4,
        "two gradients depend on the weights alone: their address is taken, and they are read, \
         once for each; tracing, transforming, optimizing, looking up and compiling do not read \
         the weights, got {looks} accesses"
    );
    assert_eq!(backend.moved(), moved, "nothing is copied to or from the device");
    let held = Arc::strong_count(&memory) - references;
    assert!(
        (1..=compiled.len()).contains(&held),
        "expected at most one reference in each program, got {held}"
    );
    let graphs = backend.compiled();
    assert!(
        graphs.len() >= compiled.len() && graphs.iter().all(|g| constants(g) <= 64),
        "compiled and hashed graphs do not contain the weights"
    );

    assert_eq!(compiled[0].run(x.clone())?.item()?, 0.0);
    assert!(backend.addresses().contains(&address), "the executable receives the same memory");
    drop(compiled);
    assert_eq!(Arc::strong_count(&memory), references, "no other reference is kept");
    let unchanged = jit(|_: Tensor| weights.clone());
    memory.looks();
    let unchanged = unchanged.run(x)?;
    assert_eq!(
        memory.looks(),
        1,
        "the only access is by the backend of this test, which takes the address"
    );
    assert_eq!(unchanged.address(), address);
    Ok(())
}
