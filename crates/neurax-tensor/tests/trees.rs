//! Trees: derived for structs and enums, with paths, statics and generics.

use neurax::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Tree, Clone, Debug)]
enum Opt {
    Sgd {
        lr: Tensor,
    },
    Adam {
        m: Vec<Tensor>,
        #[tree(static)]
        beta: f64,
    },
    Nothing,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    Relu,
    Tanh,
}

#[derive(Tree, Clone, Debug)]
struct Pair<T> {
    a: T,
    r#in: [T; 2],
    #[tree(static)]
    act: Act,
}

#[derive(Tree, Clone)]
struct Wrap(Tensor, Option<Box<Pair<Tensor>>>);

#[derive(Tree, Clone)]
struct Unit;

fn paths<T: Tree>(t: &T) -> Vec<String> {
    t.leaves().into_iter().map(|(p, _)| p).collect()
}

fn pair(act: Act) -> Pair<Tensor> {
    Pair { a: tensor(1.0), r#in: [tensor(2.0), tensor(3.0)], act }
}

#[test]
fn leaves_have_paths() {
    assert_eq!(
        paths(&Wrap(tensor(0.0), Some(Box::new(pair(Act::Relu))))),
        ["0", "1.a", "1.in.0", "1.in.1"]
    );
    assert_eq!(paths(&Opt::Adam { m: vec![tensor(1.0); 2], beta: 0.9 }), ["m.0", "m.1"]);
    assert!(
        paths(&Unit).is_empty()
            && paths(&Opt::Nothing).is_empty()
            && paths(&Wrap(tensor(0.0), None)) == ["0"]
    );
    let map: HashMap<String, Tensor> =
        [("b", 1.0), ("a", 2.0)].map(|(k, x)| (k.to_string(), tensor(x))).into();
    assert_eq!(paths(&map), ["a", "b"]);
    let map: BTreeMap<String, (Tensor, Vec<Tensor>)> =
        [("k".to_string(), (tensor(1.0), vec![tensor(2.0)]))].into();
    assert_eq!(paths(&map), ["k.0", "k.1.0"]);
}

#[test]
fn statics_and_variants_are_part_of_the_program() -> Result<()> {
    let f = jit(|o: Opt| match o {
        Opt::Sgd { lr } => lr * 2.0,
        Opt::Adam { m, beta } => &m[0] * beta,
        Opt::Nothing => tensor(0.0),
    });
    assert_eq!(f.run(Opt::Sgd { lr: tensor(0.5) })?.item()?, 1.0);
    assert_eq!(f.run(Opt::Adam { m: vec![tensor(1.0)], beta: 0.5 })?.item()?, 0.5);
    assert_eq!(f.run(Opt::Adam { m: vec![tensor(1.0)], beta: 0.25 })?.item()?, 0.25);
    assert_eq!(f.run(Opt::Adam { m: vec![tensor(3.0)], beta: 0.25 })?.item()?, 0.75);
    assert_eq!(f.run(Opt::Nothing)?.item()?, 0.0);
    assert_eq!(f.traces(), 4);
    let act = jit(|p: Pair<Tensor>| match p.act {
        Act::Relu => p.a.relu(),
        Act::Tanh => p.a.tanh(),
    });
    assert_eq!(act.run(pair(Act::Relu))?.item()?, 1.0);
    assert_eq!(act.run(pair(Act::Tanh))?.item()?, 1f32.tanh() as f64);
    Ok(())
}

#[test]
fn gradients_have_the_structure_of_the_argument() -> Result<()> {
    let g = grad(|p: Pair<Tensor>| p.a * &p.r#in[0]).run(pair(Act::Tanh))?;
    assert_eq!(
        (g.a.item()?, g.r#in[0].item()?, g.r#in[1].item()?, g.act),
        (2.0, 1.0, 0.0, Act::Tanh)
    );
    let zipped = vec![tensor(1.0)].zip_map(&vec![], |a, _| a.clone());
    assert!(zipped.ok().unwrap_err().to_string().contains("the second tree has no leaf `0`"));
    let zipped = vec![tensor(1.0)].zip_map(&vec![tensor(1.0); 2], |a, _| a.clone());
    let e = zipped.ok().unwrap_err().to_string();
    assert!(
        e.contains("the first tree has no leaf `1`, which the second one has, at ")
            && e.contains("trees.rs"),
        "{e}"
    );
    Ok(())
}

#[test]
fn a_leaf_is_found_by_its_path() {
    let whole = Wrap(tensor(5.0), Some(Box::new(pair(Act::Relu))));
    assert_eq!(whole.leaf("1.in.0").item().unwrap(), 2.0);
    assert_eq!(tensor(7.0).leaf("").item().unwrap(), 7.0);
    let missing = |t: Tensor| t.error().unwrap().to_string();
    let e = missing(whole.leaf("1.b"));
    assert!(
        e.contains("there is no leaf `1.b`; there are 0, 1.a, 1.in.0, 1.in.1, at ")
            && e.contains("trees.rs"),
        "{e}"
    );
    assert!(missing(tensor(7.0).leaf("a")).contains("it is one tensor, whose path is empty"));
    assert!(missing(Unit.leaf("a")).contains("there are none"));
    assert!(missing(vec![tensor(0.0); 20].leaf("20")).contains("10, 11 and 8 more"));
}
