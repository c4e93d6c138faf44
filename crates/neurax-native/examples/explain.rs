//! Prints the steps that a graph, read from standard input in its text form, becomes: `explain < graph.txt`.
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let graph = neurax_ir::Graph::parse(&text)?;
    println!("{}", neurax_native::Native::new()?.explain(&graph)?);
    Ok(())
}
