//! A table from a CSV file: read, split, learnt, and used on new rows.

use neurax::prelude::*;
use std::fmt::Write;

/// The area and the age of a house in, its price out.
pub fn model() -> Node {
    nn::input("house", dims![_, 2]).dense(1)
}

/// Writes a file of invented houses: price = 3 area - 0.5 age + 1.
pub fn write(path: &std::path::Path) -> Result<()> {
    let [areas, ages] = [key(1), key(2)].map(|k| k.uniform(200).to_vec::<f32>());
    let mut text = String::from("area,age,price\n");
    for (area, age) in areas?.into_iter().zip(ages?) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{area},{age},{}", 3.0 * area - 0.5 * age + 1.0);
    }
    Ok(std::fs::write(path, text)?)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let path =
        std::env::temp_dir().join(format!("neurax-example-houses-{}.csv", std::process::id()));
    write(&path)?;

    let houses = data::csv(&path).target("price").read()?.split(0.8, key(0)); // all other columns are inputs; `classes` for names
    let trained = Trainer::new(model(), loss::mse, optim::adam(0.05))
        .metric(metric::mae())
        .validate(&houses.test)
        .quiet()
        .run(&houses.train.shuffled(key(1)).batched(16), epochs(40))?;
    println!("on houses that it did not see: {}", trained.validation);

    let price = trained.net().apply(tensor([[0.5, 0.5]])).y().item()?;
    println!("a house of area 0.5 and age 0.5: {price:.2}");
    Ok(std::fs::remove_file(&path)?)
}
