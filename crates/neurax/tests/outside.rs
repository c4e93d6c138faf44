//! A package that depends on `neurax` alone derives `Tree`, runs every program of the README, and
//! trains. Little of the library is compiled in it. A program that is refused is told why.
//!
//! The package is generated in a temporary folder. Building `neurax` and its dependencies a second
//! time took 184 CPU seconds, so the package reuses what `cargo test` has built (7 CPU seconds).
//! Cargo allows that if the target folder, the profiles, the features, and the paths of packages
//! relative to the root of their workspace are equal. Therefore the manifest of the package starts
//! with that of this workspace, and its folder has a symbolic link `crates` to ours. `neurax` is
//! its only dependency, and cargo resolves the features for that package alone: if they differ from
//! those of `cargo test`, the test still passes, but builds the crates that differ.

mod workspace;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A program that derives `Tree` and takes a gradient with respect to the derived struct.
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
    let kernel = Tensor::ones([2, 1]);
    let params = Linear { kernel, bias: Tensor::zeros(1), name: "line".into() };
    let loss = |p: Linear| (Tensor::ones([3, 2]).matmul(&p.kernel) + p.bias).mean(..);
    let slope = grad(loss).run(params)?;
    assert_eq!(slope.kernel.to_vec::<f32>()?, [1.0, 1.0]);
    assert_eq!((slope.bias.item()?, &slope.name[..]), (1.0, "line"));
    Ok(())
}
"#;

/// A program that is refused: a transform of a function that returns a `Result`.
const RETURNS_RESULT: &str = r#"
use neurax::prelude::*;

fn main() {
    let _ = jit(|x: Tensor| -> Result<Tensor> { x.sin().ok() });
}
"#;

/// The bounds of the code that is compiled in the package, a third above what was measured. It is
/// what a user waits for after each change.
const MAX_FUNCTIONS: usize = 1_450;
const MAX_LINES: usize = 52_000;

#[test]
fn a_package_that_depends_on_neurax_alone_runs_the_readme() {
    let root = workspace::root();
    let readme = programs(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(!readme.is_empty(), "the README has no program");
    let folder = env::temp_dir().join(format!("neurax-outside-{}", std::process::id()));
    write_package(&folder, &root, &readme);
    let run = run_package(&folder);
    let code = run.status.success().then(|| code_of_package(&folder));
    fs::write(folder.join("src/main.rs"), RETURNS_RESULT).unwrap();
    let refused = cargo(&folder, "build", &[]);
    fs::remove_dir_all(&folder).unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("all good"), "{out}\n{err}");
    let refused = String::from_utf8_lossy(&refused.stderr);
    for part in ["is not a tree of tensors", "returns tensors, not a `Result` of them"] {
        assert!(
            refused.contains(part),
            "`{part}` is missing in the error of the compiler: {refused}"
        );
    }
    let (count, lines) = code.unwrap();
    assert!(
        count <= MAX_FUNCTIONS && lines <= MAX_LINES,
        "expected at most {MAX_FUNCTIONS} functions of {MAX_LINES} lines of LLVM IR in the \
         package, got {count} of {lines}: a function of the library is generic and large; \
         docs/performance.md says how to find it"
    );
}

/// Returns the Rust blocks of a page.
fn programs(page: &str) -> Vec<String> {
    let blocks = page.split("```rust\n").skip(1);
    blocks.filter_map(|b| b.split("```").next()).map(String::from).collect()
}

/// Writes the package into `folder`: a module for each program, and a `main` that calls them all.
fn write_package(folder: &Path, root: &Path, readme: &[String]) {
    fs::create_dir_all(folder.join("src")).unwrap();
    link_folder(&root.join("crates"), &folder.join("crates")).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let ours = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest(&ours)).unwrap();

    let (mut modules, mut calls) = (String::new(), String::new());
    let mut add = |name: &str, program: &str| {
        let text = program.replace("\nfn main()", "\npub fn main()");
        fs::write(folder.join(format!("src/{name}.rs")), text).unwrap();
        modules += &format!("mod {name};\n");
        calls += &format!("    {name}::main().unwrap();\n");
    };
    add("derives", DERIVES);
    for (i, program) in readme.iter().enumerate() {
        add(&format!("readme{i}"), program);
    }
    let main = format!("{modules}\nfn main() {{\n{calls}    println!(\"all good\");\n}}\n");
    fs::write(folder.join("src/main.rs"), main).unwrap();
}

/// Returns the manifest of the package, given that of this workspace. Its members are the package
/// and, as for every workspace, the dependencies with a path below its root.
fn manifest(ours: &str) -> String {
    let members = "members = [\"crates/*\"]\n";
    assert!(ours.contains(members), "expected {members:?} in the manifest of the workspace");
    let package = "[package]\nname = \"neurax-outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    // The features with which `cargo test` builds it.
    let features = "features = [\"ndarray\", \"dlpack\"]";
    let dependencies =
        format!("[dependencies]\nneurax = {{ path = \"crates/neurax\", {features} }}\n");
    let ours = ours.replace(members, "");
    let start = ours.find("default-members = [").expect("default members");
    let end = start + ours[start..].find("]\n").expect("the end of the default members") + 2;
    format!("{}{}\n{package}\n{dependencies}", &ours[..start], &ours[end..])
}

/// Builds and runs the package.
fn run_package(folder: &Path) -> Output {
    cargo(folder, "run", &[])
}

/// Returns the numbers of functions and of lines of LLVM IR that are compiled in the package, as in
/// a release build: there, unlike in a debug build, it gets its own copies of generic functions.
fn code_of_package(folder: &Path) -> (usize, usize) {
    let options = ["--", "--emit=llvm-ir", "-Copt-level=2", "-Cno-prepopulate-passes"];
    let built = cargo(folder, "rustc", &[&options[..], &["-Ccodegen-units=1"]].concat());
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let files = fs::read_dir(profile_folder().join("deps")).unwrap().map(|f| f.unwrap().path());
    let is_ours = |f: &PathBuf| {
        let name = f.file_name().unwrap().to_string_lossy();
        name.starts_with("neurax_outside-") && name.ends_with(".ll")
    };
    let newest = files.filter(is_ours).max_by_key(|f| f.metadata().unwrap().modified().unwrap());
    let (mut functions, mut lines, mut is_inside) = (0, 0, false);
    for line in fs::read_to_string(newest.unwrap()).unwrap().lines() {
        let begins = line.starts_with("define ");
        functions += usize::from(begins);
        is_inside |= begins;
        lines += usize::from(is_inside);
        is_inside &= line != "}";
    }
    (functions, lines)
}

/// Runs a command of cargo on the package, with the profile and the target folder of this test.
fn cargo(folder: &Path, command: &str, options: &[&str]) -> Output {
    let profile = profile_folder();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    Command::new(env!("CARGO"))
        .args([command, "--profile", name])
        .args(options)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", profile.parent().unwrap())
        .output()
        .unwrap()
}

/// Returns the folder `TARGET/PROFILE` of this test, which lies at `TARGET/PROFILE/deps/NAME`.
fn profile_folder() -> PathBuf {
    env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf()
}

#[cfg(unix)]
fn link_folder(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn link_folder(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(to, at)
}
