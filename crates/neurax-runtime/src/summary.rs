//! [`ProgramSummary`]: what a program consists of.

use std::collections::BTreeMap;

/// The contents of a compiled program, the programs of its loops and branches included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramSummary {
    /// The number of equations that the steps compute.
    pub equations: usize,
    /// The numbers of steps by kind: `kernel` is a loop nest in machine code, and others name a
    /// library function, such as `product`.
    pub steps: BTreeMap<&'static str, usize>,
    /// The bytes of the constants that are part of the program.
    pub constant_bytes: usize,
}

impl ProgramSummary {
    /// Returns the numbers of steps as text, e.g. `3 kernel, 1 product`.
    ///
    /// ```
    /// use neurax_runtime::ProgramSummary;
    /// let steps = [("kernel", 3), ("product", 1)].into();
    /// let summary = ProgramSummary { equations: 9, steps, constant_bytes: 0 };
    /// assert_eq!(summary.steps_text(), "3 kernel, 1 product");
    /// ```
    pub fn steps_text(&self) -> String {
        let steps = self.steps.iter().map(|(kind, count)| format!("{count} {kind}"));
        steps.collect::<Vec<_>>().join(", ")
    }
}
