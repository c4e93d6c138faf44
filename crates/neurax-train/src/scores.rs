//! Named scores.

use std::fmt;
use std::ops::Index;

/// The loss and the metrics by name, over all examples, in the order in which they were added.
///
/// ```
/// use neurax::train::Scores;
/// let scores = Scores::from_iter([("loss".to_string(), 0.25), ("accuracy".to_string(), 0.5)]);
/// assert_eq!(scores["accuracy"], 0.5);
/// assert!(scores["speed"].is_nan(), "a missing score");
/// assert_eq!(scores.to_string(), "loss 0.2500  accuracy 0.5000");
/// assert_eq!(Scores::default().to_string(), "nothing measured");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(String, f64)>);

impl Scores {
    /// Returns the score `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, x)| *x)
    }

    /// Returns an iterator over names and scores.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(n, x)| (n.as_str(), *x))
    }

    /// Returns the names and the bits of the scores, which can be compared: no NaN equals another
    /// one.
    pub(crate) fn bits(&self) -> Vec<(String, u64)> {
        self.0.iter().map(|(name, x)| (name.clone(), x.to_bits())).collect()
    }

    /// Returns true if there are no scores.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, f64)> for Scores {
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(it: I) -> Scores {
        Scores(it.into_iter().collect())
    }
}

/// Access to a score by name. Indexing cannot fail: a missing score is NaN.
impl Index<&str> for Scores {
    type Output = f64;
    fn index(&self, name: &str) -> &f64 {
        self.0.iter().find(|(n, _)| n == name).map_or(&f64::NAN, |(_, x)| x)
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing measured");
        }
        let each: Vec<String> = self.0.iter().map(|(n, x)| format!("{n} {x:.4}")).collect();
        f.write_str(&each.join("  "))
    }
}
