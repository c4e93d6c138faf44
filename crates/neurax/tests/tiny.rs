//! The tour: from a constant to a trained model, in order of difficulty. Read it from top to
//! bottom.

use neurax::prelude::*;

#[test]
fn a01_a_constant() -> Result<()> {
    assert_eq!(tensor(2.5).item()?, 2.5);
    assert_eq!(tensor(2.5).dtype(), F32);
    Ok(())
}

#[test]
fn a02_an_addition() -> Result<()> {
    let x = tensor([1.0, 2.0]) + 1.0;
    assert_eq!(x.to_vec::<f32>()?, [2.0, 3.0]);
    Ok(())
}

#[test]
fn a03_broadcasting_and_sums() -> Result<()> {
    let table = tensor([[1.0], [2.0]]) * tensor([10.0, 20.0, 30.0]);
    assert_eq!(table.shape(), [2, 3]);
    assert_eq!(table.sum(0).to_vec::<f32>()?, [30.0, 60.0, 90.0]);
    assert_eq!(table.sum(..).item()?, 180.0);
    Ok(())
}

#[test]
fn a04_a_matrix_product() -> Result<()> {
    let a = tensor([[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(a.matmul(Tensor::eye(2)).to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    Ok(())
}

#[test]
fn a05_a_result_carries_the_error_and_its_line() {
    let bad = tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0]);
    let line = line!() - 1;
    let error = (bad * 2.0).sum(..).item().unwrap_err().to_string();
    assert!(error.starts_with("add: cannot broadcast f32[2] with f32[3]"), "{error}");
    assert!(error.contains(&format!("tiny.rs:{line}:")), "{error}");
}

#[test]
fn b01_a_gradient() -> Result<()> {
    let slope = grad(|x: Tensor| &x * &x * &x);
    assert_eq!(slope.run(tensor(2.0))?.item()?, 12.0);
    Ok(())
}

#[test]
fn b02_a_gradient_of_a_gradient() -> Result<()> {
    let second = grad(grad(|x: Tensor| &x * &x * &x));
    assert_eq!(second.run(tensor(2.0))?.item()?, 12.0);
    Ok(())
}

#[test]
fn b03_a_function_of_a_batch() -> Result<()> {
    let slopes = vmap(grad(|x: Tensor| x.sin()));
    let at = tensor([0.0, 1.0]);
    assert_eq!(slopes.run(at.clone())?.to_vec::<f32>()?, at.cos().to_vec::<f32>()?);
    Ok(())
}

#[test]
fn b04_a_function_is_compiled_once() -> Result<()> {
    let step = jit(|(w, lr): (Tensor, Tensor)| &w - &w * lr);
    let mut w = tensor([1.0, 2.0]);
    for i in 0..5 {
        w = step.run((w, tensor(0.1 * i as f32)))?;
    }
    assert_eq!(step.traces(), 1);
    Ok(())
}

#[test]
fn b05_the_gradient_of_a_loop() -> Result<()> {
    let power = |x: Tensor| fori(0..5, tensor(1.0), |_, y| y * &x);
    assert_eq!(power(tensor(2.0)).item()?, 32.0);
    assert_eq!(grad(power).run(tensor(2.0))?.item()?, 80.0);
    Ok(())
}

#[test]
fn b06_random_numbers_of_a_key() -> Result<()> {
    let [a, b] = key(0).split();
    assert_eq!(a.uniform(3).to_vec::<f32>()?, a.uniform(3).to_vec::<f32>()?);
    assert_ne!(a.uniform(3).to_vec::<f32>()?, b.uniform(3).to_vec::<f32>()?);
    Ok(())
}

#[derive(Tree, Clone)]
struct Line {
    slope: Tensor,
    offset: Tensor,
}

#[test]
fn c01_a_training_step_on_a_struct() -> Result<()> {
    let x = Tensor::linspace(-1.0, 1.0, 20);
    let y = &x * 3.0 - 0.5;
    let step = jit(move |line: Line| {
        let (_, slope) =
            value_and_grad_at(&line, |l| (&x * l.slope + l.offset - &y).square().mean(..));
        line.zip_map(&slope, |p, g| p - g * 0.5)
    });
    let mut line = Line { slope: tensor(0.0), offset: tensor(0.0) };
    for _ in 0..60 {
        line = step.run(line)?;
    }
    assert!((line.slope.item()? - 3.0).abs() < 1e-3);
    assert!((line.offset.item()? + 0.5).abs() < 1e-3);
    Ok(())
}

#[test]
fn c02_a_layer() -> Result<()> {
    let model = nn::input("x", dims![_, 3]).dense(2);
    let vars = model.init(key(0), &types![f32[_, 3]])?;
    let out = model.apply(&vars, Tensor::ones([4, 3]), &Mode::Eval);
    assert_eq!(out.y().shape(), [4, 2]);
    Ok(())
}

#[test]
fn c03_a_model_is_trained_saved_and_loaded() -> Result<()> {
    let model = nn::input("image", dims![_, 64]).dense(32).relu().dense(10).softmax();
    let digits = data::digits()?.split(0.8, key(0));
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(5e-3))
        .metric(metric::accuracy())
        .validate(&digits.test)
        .quiet()
        .run(&digits.train.shuffled(key(1)).batched(64), epochs(3))?;
    assert!(trained.validation["accuracy"] > 0.85, "{}", trained.validation);

    let path = std::env::temp_dir().join(format!("neurax-tiny-{}.safetensors", std::process::id()));
    trained.vars.save(&path)?;
    let net = model.bind(Vars::load(&path)?);
    let again = net.apply(&digits.test.x).y().to_vec::<f32>()?;
    assert_eq!(again, trained.net().apply(&digits.test.x).y().to_vec::<f32>()?);
    std::fs::remove_file(path)?;
    Ok(())
}
