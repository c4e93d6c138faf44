//! Runs the tests of ONNX backends in a folder: `cargo run -p neurax-onnx --example conformance --
//! FOLDER [PART OF A NAME]..`; prints those that fail, and the numbers of all.

use neurax_onnx::conformance;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("expected a folder")?;
    let parts: Vec<String> = args.collect();
    let is_chosen =
        |name: &str| parts.is_empty() || parts.iter().any(|p| name.contains(p.as_str()));
    let (mut passed, mut total) = (0, 0);
    for test in conformance::tests(folder)? {
        if !is_chosen(&test.to_string_lossy()) {
            continue;
        }
        let result = conformance::run(&test);
        total += 1;
        match result.failure {
            None => passed += 1,
            Some(why) => println!("FAILED {}: {}", result.name, why.replace('\n', " ")),
        }
    }
    println!("{passed} of {total} passed");
    Ok(())
}
