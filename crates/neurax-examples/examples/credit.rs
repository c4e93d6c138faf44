//! A classifier of a table with a rare class: class weights, the area under the ROC curve over all
//! batches of an epoch, and a report on the fairness of its decisions.

use neurax::prelude::*;
use nn::fairness::{self, FairnessReport};

/// The applicants: features, whether they default (class 1, the rare one), and their groups.
pub struct Applicants {
    /// Income, debt and age, f32[n, 3].
    pub features: Tensor,
    /// 1 if the loan is not paid back, `i32[n]`.
    pub defaults: Tensor,
    /// 0 (city) or 1 (country), `i32[n]`. The model does not see it.
    pub groups: Tensor,
}

/// Makes `n` applicants. Incomes are lower in the country, so that a model of incomes treats the
/// groups differently.
pub fn applicants(n: usize, key: Key) -> Applicants {
    let [a, b, c] = key.split();
    let groups = a.bernoulli(0.4, [n]).to(I32);
    let features = b.normal([n, 3]);
    let lower = groups.to(F32).expand_dims(1) * tensor([-0.75, 0.0, 0.0]);
    let features = features + lower;
    let risk = features.matmul(tensor([-1.5, 1.0, -0.25])) - 3.0;
    Applicants { features, defaults: c.bernoulli(risk.sigmoid(), [n]).to(I32), groups }
}

/// Creates a model of two logits.
pub fn model() -> Node {
    nn::input("applicant", dims![_, 3]).dense(16).relu().dense(2)
}

/// Returns the probabilities of a default.
pub fn risk(logits: &Tensor) -> Tensor {
    logits.softmax(-1).index((.., 1))
}

/// Trains with the weight `weight` of the rare class; returns the scores on other applicants and
/// the report on the decisions about them.
///
/// # Errors
/// Returns an error if the training fails.
pub fn train(weight: f32) -> Result<(train::Scores, FairnessReport)> {
    let (known, new) = (applicants(1500, key(1)), applicants(1000, key(2)));
    let [known_set, new_set] =
        [&known, &new].map(|a| Dataset::new(a.features.clone(), a.defaults.clone()));
    let loss = loss::CrossEntropyLoss::new().class_weights(&tensor([1.0, weight]));
    let seen = |out: &Applied, batch: &data::Batch| (risk(out.y()), batch.y.clone());
    let trained = Trainer::new(model(), loss, optim::adam(0.02))
        .metric_of(metric::roc_auc(), seen)
        .metric_of(metric::recall(), seen)
        .quiet()
        .run(&known_set?.shuffled(key(3)).batched(64), epochs(8))?;
    let scores = trained.evaluate(&new_set?)?;
    let risks = risk(trained.net().apply(new.features).y());
    let report = fairness::options()
        .group_names(&["city", "country"])
        .bootstrap(200, key(4))
        .report(&risks, &new.defaults, &new.groups)?;
    Ok((scores, report))
}

/// Runs the example.
pub fn main() -> Result<()> {
    for weight in [1.0, 6.0] {
        let (scores, report) = train(weight)?;
        println!("weight {weight}: {scores}\n\n{report}\n");
    }
    Ok(())
}
