//! Folders of PNG images, one for each class: images are decoded and changed at random by several
//! threads while the network trains, with a learning rate that rises and then falls. Needs the
//! feature `images`.
//!
//! ```text
//! cargo run --release -p neurax-examples --features images --example image_folder -- --data pets
//! ```
//!
//! `pets` holds a folder for each class: `pets/cat/1.png`, `pets/dog/2.jpg`. Without `--data`, the
//! program writes such a folder of drawn shapes.

use image::{Rgb, RgbImage};
use neurax::data::augment;
use neurax::prelude::*;
use neurax_examples::{arguments, positive};
use std::path::{Path, PathBuf};

/// Trains a network on folders of images, one for each class. Without `--data`, trains on generated
/// images.
#[derive(clap::Parser)]
struct ImageArguments {
    /// The folder that holds a folder for each class.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The number of epochs on the images of `--data`.
    #[arg(long, default_value = "20", value_parser = positive)]
    epochs: usize,
}

/// The height and width to which all images are resized.
const SIZE: usize = 32;
/// The number of images of a batch.
const BATCH_SIZE: usize = 32;

/// Creates a network from f32[n, 3, 32, 32] to the probabilities of `classes` classes.
pub fn model(classes: usize) -> Model {
    let conv = |filters| nn::Conv::new(filters, 3).padding(Padding::Same).bias(false);
    let mut x = nn::input("image", dims![_, 3, SIZE, SIZE]);
    for filters in [16, 32, 32] {
        x = x.layer(conv(filters)).batch_norm().relu().max_pool(2);
    }
    // The mean over all positions: a shape may be anywhere.
    x.global_avg_pool().dense(classes).softmax().model()
}

/// Trains for `count` epochs on 80 % of the images in a folder, and returns the accuracy on the
/// others.
///
/// # Errors
/// Returns an error if the folder has no images, or one of them cannot be decoded.
pub fn accuracy(folder: &Path, count: usize) -> Result<f64> {
    let images = data::image_folder(folder)?.resize([SIZE, SIZE]);
    println!("{} images of {:?}", images.len(), images.classes());
    let parts = images.stream().split(0.8, key(0));

    // Only the images to train on are changed. `cache` keeps the decoded images in memory; the
    // changes come behind it, or every epoch would see the same ones. `prefetch` is last, so that
    // its threads do all of the work before it.
    let batches = parts.train.cache().shuffle(key(1)).batch(BATCH_SIZE);
    let batches = batches.map_with_key(key(2), |key, data::Batch { x, y }| {
        let [flip, shift, rotate, light] = key.split();
        let x = augment::flip_horizontal(&flip, &x);
        let x = augment::shift(&shift, &x, 0.1, 0.0);
        let x = augment::rotate(&rotate, &x, 20.0, 0.0);
        data::Batch { x: augment::brightness(&light, &x, 0.2), y }
    });

    // The first steps are small, because the statistics of the batch normalization are still those
    // of the beginning; then the rate falls to 0 along a cosine.
    let steps = count * (images.len() * 4 / 5).div_ceil(BATCH_SIZE);
    let rate = optim::warmup_cosine(1e-2, steps / 10, steps);
    let model = model(images.classes().len());
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adamw(rate, 1e-4))
        .metric(metric::accuracy())
        .run(&batches.prefetch(2), epochs(count))?;

    // All images to test on in one batch.
    let whole = parts.test.batch(images.len()).epoch(0).next();
    let data::Batch { x, y } = whole.ok_or_else(|| Error::new("example", "too few images"))??;
    Ok(trained.evaluate(&Dataset::new(x, y)?)?["accuracy"])
}

/// Writes `count` images for each of three classes: a disk, a ring or a square of random position,
/// size and color.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write_images(folder: &Path, count: usize) -> Result<()> {
    for (class, name) in ["disk", "ring", "square"].into_iter().enumerate() {
        std::fs::create_dir_all(folder.join(name))?;
        for i in 0..count {
            let random = key(7).fold_in(class as u32).fold_in(i as u32).uniform([6]).to_vec()?;
            let [x, y, size, red, green, blue] = random.try_into().unwrap_or([0.5f32; 6]);
            let (x, y, radius) = (14.0 + 12.0 * x, 14.0 + 12.0 * y, 6.0 + 5.0 * size);
            let color = [red, green, blue].map(|c| (100.0 + 155.0 * c) as u8);
            let image = RgbImage::from_fn(40, 40, |column, row| {
                let (dx, dy) = ((column as f32 - x).abs(), (row as f32 - y).abs());
                let distance = dx.hypot(dy);
                let is_inside = match name {
                    "disk" => distance < radius,
                    "ring" => distance < radius && distance > 0.6 * radius,
                    _ => dx.max(dy) < 0.85 * radius,
                };
                Rgb(if is_inside { color } else { [40, 40, 60] })
            });
            let path = folder.join(name).join(format!("{i}.png"));
            image.save(path).map_err(|e| Error::new("example", e.to_string()))?;
        }
    }
    Ok(())
}

/// Runs the example on the folder behind `--data`, or on generated images.
pub fn main() -> Result<()> {
    let ImageArguments { data, epochs } = arguments();
    if let Some(folder) = data {
        println!("accuracy on test images: {:.3}", accuracy(&folder, epochs)?);
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("neurax-example-images-{}", std::process::id()));
    write_images(&folder, 120)?;
    println!("accuracy on test images: {:.3}", accuracy(&folder, 10)?);
    Ok(std::fs::remove_dir_all(folder)?)
}
