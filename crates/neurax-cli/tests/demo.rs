//! The main job, as a user runs it.

use std::process::Command;

#[test]
fn the_demo_learns_to_read_digits_and_saves_what_it_learnt() {
    let out = std::env::temp_dir().join(format!("neurax-demo-{}.safetensors", std::process::id()));
    let run = Command::new(env!("CARGO_BIN_EXE_neurax")).args(["demo", "--out"]).arg(&out).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let accuracy = text.lines().find_map(|l| l.strip_prefix("test accuracy ")).unwrap();
    assert!(accuracy.parse::<f64>().unwrap() >= 0.96, "{text}");
    assert_eq!(neurax::nn::Vars::load(&out).unwrap().size(), 9_610);
}

#[test]
fn what_goes_wrong_is_one_line_and_a_failure() {
    let run = Command::new(env!("CARGO_BIN_EXE_neurax")).args(["inspect", "nothing"]).output().unwrap();
    assert!(!run.status.success());
    assert!(String::from_utf8_lossy(&run.stderr).starts_with("error: inspect: there is no example `nothing`"));
}
