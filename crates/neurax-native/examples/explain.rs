//! Prints the compiler stages of a graph in text form on standard input: `explain < graph.txt`.
//! With a number, the graph runs that often, and each step is printed with its time: `explain 20 <
//! graph.txt`.
use neurax_ir::{Literal, Type};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let graph = neurax_ir::Graph::parse(&text)?;
    let native = neurax_native::Native::new()?;
    println!("{}", native.explain(&graph)?);
    if let Some(rounds) = std::env::args().nth(1) {
        let args: Vec<Literal> = graph.input_types().iter().map(some).collect();
        print!("{}", native.profile(&graph, &args, rounds.parse()?)?);
    }
    Ok(())
}

/// Returns numbers from 0 to 1, in no order.
fn some(ty: &Type) -> Literal {
    let x: Vec<f64> = (0..ty.size()).map(|i| (i * 7919 % 1009) as f64 / 1009.0).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}
