//! The commands of `neurax`, run as a user runs them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_demo_reaches_its_accuracy_and_saves_its_weights() {
    let out = std::env::temp_dir().join(format!("neurax-demo-{}.safetensors", std::process::id()));
    let run = Command::new(env!("CARGO_BIN_EXE_neurax"))
        .args(["demo", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let accuracy = text.lines().find_map(|l| l.strip_prefix("test accuracy ")).unwrap();
    assert!(accuracy.parse::<f64>().unwrap() >= 0.96, "{text}");
    assert_eq!(neurax::nn::Vars::load(&out).unwrap().size(), 9_610);
}

#[test]
fn an_error_is_printed_and_sets_the_exit_status() {
    let run =
        Command::new(env!("CARGO_BIN_EXE_neurax")).args(["inspect", "nothing"]).output().unwrap();
    assert!(!run.status.success());
    let error = String::from_utf8_lossy(&run.stderr);
    assert!(error.starts_with("error: inspect: expected one of the examples "), "{error}");
    assert!(error.contains(", got `nothing`"), "{error}");
}

#[test]
fn a_device_that_does_not_exist_is_reported_first() {
    for command in [&["demo"][..], &["inspect", "digits"], &["bench", "latency"]] {
        let mut neurax = Command::new(env!("CARGO_BIN_EXE_neurax"));
        let run = neurax.args(command).env("NEURAX_DEVICE", "quantum").output().unwrap();
        assert!(!run.status.success());
        assert_eq!(String::from_utf8_lossy(&run.stdout), "");
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(
            error.starts_with("error: device: expected NEURAX_DEVICE to be one of "),
            "{error}"
        );
        assert!(error.trim_end().ends_with(", got `quantum`"), "{error}");
    }
}

#[test]
fn devices_are_listed_with_what_they_are() {
    let run = Command::new(env!("CARGO_BIN_EXE_neurax"))
        .arg("devices")
        .env("NEURAX_DEVICE", "native")
        .env("NEURAX_THREADS", "2")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "device    backend", "{text}");
    assert_eq!(lines[1], "native:0  the compiler for this CPU, 2 threads (default)");
    assert!(lines[2].starts_with("interp:0  the reference interpreter"), "{text}");
    assert!(lines[3].starts_with("NEURAX_DEVICE=DEVICE selects "), "{text}");
}

#[test]
fn a_wrong_number_of_threads_is_an_error() {
    let run = Command::new(env!("CARGO_BIN_EXE_neurax"))
        .args(["bench", "eager", "--seconds", "0"])
        .env("NEURAX_DEVICE", "native")
        .env("NEURAX_THREADS", "abc")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&run.stderr);
    let why = "device: expected NEURAX_THREADS to be a number of threads from 1 to 1024, got `abc`";
    assert!(!run.status.success() && error.contains(why), "{error}");
}

#[test]
fn a_closed_pipe_does_not_stop_the_training() {
    let out =
        std::env::temp_dir().join(format!("neurax-demo-pipe-{}.safetensors", std::process::id()));
    let mut demo = Command::new(env!("CARGO_BIN_EXE_neurax"));
    let mut run = demo
        .args(["demo", "--epochs", "1", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("layer"), "{line}");
    let run = run.wait_with_output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(out.exists());
}

#[test]
fn an_unwritable_output_is_reported_before_the_training() {
    let folder = std::env::temp_dir();
    for out in [folder.join("neurax-no-such-folder").join("w.safetensors"), folder] {
        let run = Command::new(env!("CARGO_BIN_EXE_neurax"))
            .args(["demo", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && run.stdout.is_empty(), "{error}");
        assert!(
            error.starts_with("error: demo: cannot write the weights to ")
                && error.contains(out.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "expected one line: {error}");
    }
}
