#[test]
fn scratch() {
    use neurax_ir::*;
    let n = neurax_native::Native::new().unwrap();
    let g = Graph::parse(&std::fs::read_to_string("/tmp/w/g.txt").unwrap()).unwrap();
    println!("{}", n.explain(&g).unwrap());
}
