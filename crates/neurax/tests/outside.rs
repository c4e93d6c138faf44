//! A crate outside the workspace that depends on `neurax` alone: it derives `Tree`, runs every
//! program of the README, and trains.

use std::{fs, path::PathBuf, process::Command};

fn root() -> PathBuf {
    fs::canonicalize(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// The Rust blocks of a page.
fn programs(page: &str) -> Vec<String> {
    let blocks = page.split("```rust\n").skip(1);
    blocks.filter_map(|b| b.split("```").next()).map(String::from).collect()
}

const DERIVES: &str = r#"
use neurax::prelude::*;

#[derive(Tree, Clone)]
struct Linear {
    kernel: Tensor,
    bias: Tensor,
    #[tree(static)]
    name: String,
}

pub fn main() -> Result<()> {
    let params = Linear { kernel: Tensor::ones([2, 1]), bias: Tensor::zeros(1), name: "line".into() };
    let slope = grad(|p: Linear| (Tensor::ones([3, 2]).matmul(&p.kernel) + p.bias).mean(..)).run(params)?;
    assert_eq!((slope.kernel.to_vec::<f32>()?, slope.bias.item()?, &slope.name[..]), (vec![1.0, 1.0], 1.0, "line"));
    Ok(())
}
"#;

#[test]
fn a_crate_outside_uses_neurax_alone() {
    let root = root();
    let readme = programs(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(!readme.is_empty(), "the README has no program");
    let dir = std::env::temp_dir().join(format!("neurax-outside-{}", std::process::id()));
    fs::create_dir_all(dir.join("src")).unwrap();
    let neurax = root.join("crates/neurax");
    // Without debug information, as nobody looks at it; in a folder of its own, so that it is built
    // once.
    let text = format!(
        "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\nneurax = {{ path = {neurax:?} }}\n\n[profile.dev]\ndebug = false\n"
    );
    fs::write(dir.join("Cargo.toml"), text).unwrap();
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let mut main = String::from("mod derives;\n");
    fs::write(dir.join("src/derives.rs"), DERIVES).unwrap();
    let mut calls = String::from("    derives::main().unwrap();\n");
    for (i, program) in readme.iter().enumerate() {
        fs::write(
            dir.join(format!("src/readme{i}.rs")),
            program.replace("fn main()", "pub fn main()"),
        )
        .unwrap();
        main += &format!("mod readme{i};\n");
        calls += &format!("    readme{i}::main().unwrap();\n");
    }
    fs::write(
        dir.join("src/main.rs"),
        format!("{main}\nfn main() {{\n{calls}    println!(\"all good\");\n}}\n"),
    )
    .unwrap();

    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet"])
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", target.join("outside"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    fs::remove_dir_all(&dir).unwrap();
    assert!(run.status.success() && out.contains("all good"), "{out}\n{err}");
}
