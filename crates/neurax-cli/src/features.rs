//! The features of the command, for the errors of programs that were built without one.

use neurax::Error;
use neurax_report::shell_command;

/// All features, for the command that installs a program with all of them.
const ALL_FEATURES: &str = "download,images,png,watch";

/// Returns the error of an operation that needs a program with `feature`: it says which command
/// runs `arguments` with it, which one installs a program with all features, and what can be done
/// `instead`.
pub fn without_feature(op: &str, feature: &str, arguments: &[String], instead: &str) -> Error {
    let arguments = shell_command(arguments);
    let why = format!(
        "this program was built without the feature `{feature}`: in the clone of Neurax, run \
         `cargo run --release -p neurax-cli --features {feature} -- {arguments}`, or install a \
         program with all features by `cargo install --path crates/neurax-cli --locked \
         --features {ALL_FEATURES}`; {instead}"
    );
    Error::new(op, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_features_are_those_of_the_manifest() {
        let manifest = include_str!("../Cargo.toml");
        let features = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
        let name = |line: &'static str| line.split_once(" = ").map(|(name, _)| name);
        let mut names: Vec<&str> = features.lines().filter_map(name).collect();
        names.sort_unstable();
        assert_eq!(names.join(","), ALL_FEATURES);
    }

    #[test]
    fn arguments_are_quoted() {
        let arguments = ["watch", "runs/my digits"].map(String::from);
        let e = without_feature("watch", "watch", &arguments, "or not").to_string();
        let command =
            "`cargo run --release -p neurax-cli --features watch -- watch 'runs/my digits'`";
        assert!(e.contains(command) && e.ends_with("; or not"), "{e}");
        let install = "`cargo install --path crates/neurax-cli --locked --features download,";
        assert!(e.contains(install), "{e}");
    }
}
