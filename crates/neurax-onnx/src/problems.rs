//! The problems of a model: everything that is wrong with a file, in one message.
//!
//! A file of a few megabytes can have a hundred thousand problems, or one of them that often. Each
//! is listed once, [`MAX_COLLECTED_PROBLEMS`] are kept, and others are counted alone.

use crate::limits::MAX_COLLECTED_PROBLEMS;
use std::collections::HashSet;
use std::fmt;

/// The number of problems that an error lists.
const MAX_LISTED_PROBLEMS: usize = 50;

/// The problems of a model.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The different ones, in the order in which they were found.
    kept: Vec<String>,
    seen: HashSet<String>,
    /// The number of all that were added, repeated ones included.
    added: usize,
    /// The number of those that are not kept.
    dropped: usize,
}

impl Problems {
    /// Adds a problem.
    pub(crate) fn push(&mut self, problem: impl Into<String>) {
        self.added += 1;
        let problem = problem.into();
        if self.seen.contains(&problem) {
            return;
        }
        if self.kept.len() == MAX_COLLECTED_PROBLEMS {
            self.dropped += 1;
            return;
        }
        self.seen.insert(problem.clone());
        self.kept.push(problem);
    }

    /// Adds a problem of which one message is enough: what repeats it has no problem because of it.
    pub(crate) fn push_once(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.seen.contains(&problem) {
            self.push(problem);
        }
    }

    /// Returns the number of problems that were added so far, repeated ones included.
    pub(crate) fn count(&self) -> usize {
        self.added
    }

    /// Returns true if there is no problem.
    pub(crate) fn is_empty(&self) -> bool {
        self.added == 0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let listed = &self.kept[..self.kept.len().min(MAX_LISTED_PROBLEMS)];
        f.write_str(&listed.join("; "))?;
        match self.kept.len() - listed.len() + self.dropped {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_listed_once_and_the_rest_counted() {
        let mut problems = Problems::default();
        assert!(problems.is_empty());
        for name in ["a", "b", "a"] {
            problems.push(name);
        }
        problems.push_once("b");
        assert_eq!((problems.to_string().as_str(), problems.count()), ("a; b", 3));
        (0..100_000).for_each(|i| problems.push(i.to_string()));
        assert_eq!(problems.kept.len(), MAX_COLLECTED_PROBLEMS);
        let text = problems.to_string();
        assert!(text.starts_with("a; b; 0; 1; ") && text.ends_with("; and 99952 more"), "{text}");
    }
}
