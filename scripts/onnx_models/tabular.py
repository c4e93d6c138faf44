"""Models of tables: scikit-learn, LightGBM and XGBoost."""

import lightgbm
import numpy as np
import onnx
import xgboost
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as FloatTable
from sklearn import (
    calibration, cluster, compose, cross_decomposition, decomposition, discriminant_analysis,
    ensemble, feature_extraction, feature_selection, gaussian_process, impute, linear_model,
    mixture, multiclass, multioutput, naive_bayes, neighbors, neural_network, pipeline,
    preprocessing, svm, tree,
)
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

from common import Data, randoms

# The greatest opsets of skl2onnx 1.20.
OPSETS = {"": 21, "ai.onnx.ml": 3}
BATCHES = [4, 1, 9]


def table(rows, columns=6, seed=51):
    return randoms(seed).normal(size=(rows, columns)).astype(np.float32)


def classes(x, count=3):
    """Returns a class for each row, from sums of its columns."""
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3]
    return np.digitize(score, np.linspace(-0.7, 0.7, count - 1))


def target(x):
    return (np.sin(x[:, 0]) + x[:, 1] * x[:, 2] - x[:, 3] ** 2).astype(np.float32)


def classifier(model, *, names=False, count=3, zips=False, options=None):
    """Returns the maker of a classifier of scikit-learn. Classes are strings if `names` is set;
    probabilities are maps if `zips` is set."""

    def make(path):
        x = table(200)
        y = classes(x, count)
        if names:
            y = np.array(["low", "middle", "high", "top"])[y]
        model.fit(x, y)
        how = {"zipmap": zips} if options is None else options
        proto = to_onnx(model, x[:1], options={id(model): how}, target_opset=OPSETS)
        onnx.save(proto, path)
        probabilities = getattr(model, "predict_proba", None)

        def outputs(x):
            label = model.predict(x)
            return [label, probabilities(x) if probabilities else model.decision_function(x)]

        return Data([({"X": x}, outputs(x)) for x in (table(n, seed=n) for n in BATCHES)])

    return make


def regressor(model, **options):
    """Returns the maker of a regressor of scikit-learn."""

    def make(path):
        x = table(200)
        model.fit(x, target(x))
        proto = to_onnx(model, x[:1], options=options or None, target_opset=OPSETS)
        onnx.save(proto, path)
        inputs = [table(n, seed=n) for n in BATCHES]
        return Data([({"X": x}, [model.predict(x).reshape(-1, 1)]) for x in inputs])

    return make


def transformer(model, method="transform", results=None):
    """Returns the maker of a transformer of scikit-learn."""

    def make(path):
        x = table(200)
        model.fit(x, classes(x))
        onnx.save(to_onnx(model, x[:1], target_opset=OPSETS), path)
        inputs = [table(n, seed=n) for n in BATCHES]
        outputs = results or (lambda model, x: [getattr(model, method)(x)])
        return Data([({"X": x}, outputs(model, x)) for x in inputs])

    return make


def mixed_columns(path):
    """Numbers that are imputed and scaled, strings that are one-hot encoded, and a forest."""
    random = randoms(52)
    cities = np.array(["Berlin", "Köln", "東京", "Oslo"])

    def columns(n):
        numbers = random.normal(size=(n, 3)).astype(np.float32)
        numbers[random.random(numbers.shape) < 0.1] = np.nan
        words = cities[random.integers(0, 4, size=(n, 1))]
        counts = random.integers(0, 5, size=(n, 2))
        return numbers, words.astype(object), counts

    def merged(numbers, words, counts):
        return np.concatenate([numbers.astype(object), words, counts.astype(object)], 1)

    scaled = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    onehot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = compose.ColumnTransformer([
        ("numbers", scaled, [0, 1, 2]),
        ("words", onehot, [3]),
        ("counts", preprocessing.MinMaxScaler(), [4, 5]),
    ])
    model = pipeline.Pipeline([("parts", parts), ("forest", ensemble.RandomForestClassifier(
        10, max_depth=5, random_state=1))])
    train = columns(200)
    label = (np.nan_to_num(train[0][:, 0]) + (train[1][:, 0] == "Oslo") > 0.3).astype(np.int64)
    model.fit(merged(*train), label)
    types = [("numbers", FloatTensorType([None, 3])), ("words", StringTensorType([None, 1])),
             ("counts", Int64TensorType([None, 2]))]
    proto = to_onnx(model, initial_types=types, options={"zipmap": False}, target_opset=OPSETS)
    onnx.save(proto, path)

    def data(n):
        numbers, words, counts = columns(n)
        x = merged(numbers, words, counts)
        inputs = {"numbers": numbers, "words": words, "counts": counts}
        return inputs, [model.predict(x), model.predict_proba(x)]

    return Data([data(n) for n in BATCHES])


TEXTS = ["the cat sat on the mat", "a dog ate the cat", "no mat for a dog", "cats, dogs & mats",
         "sat sat sat", "one more dog on one more mat", "the end", "Ein Hund auf der Matte"]


def text(vectorizer):
    """Returns the maker of a classifier of texts."""

    def make(path):
        model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression())
        model.fit(TEXTS, np.array([0, 1, 1, 0, 0, 1, 0, 1]))
        types = [("text", StringTensorType([None, 1]))]
        # The default locale, en_US.UTF-8, is not on every machine.
        options = {id(model): {"zipmap": False}, id(vectorizer): {"locale": "C"}}
        proto = to_onnx(model, initial_types=types, options=options, target_opset=OPSETS)
        onnx.save(proto, path)
        inputs = [TEXTS[:3], ["unknown words on the mat"], TEXTS[3:] + ["dog dog cat"]]
        return Data([
            ({"text": np.array(x, dtype=object).reshape(-1, 1)},
             [model.predict(x), model.predict_proba(x)])
            for x in inputs
        ])

    return make


def ordinal(path):
    """Strings that become numbers, and a tree of them."""
    random = randoms(53)
    sizes, colors = np.array(["S", "M", "L"]), np.array(["red", "green", "blue"])

    def columns(n):
        both = [sizes[random.integers(0, 3, n)], colors[random.integers(0, 3, n)]]
        return np.stack(both, 1).astype(object)

    model = pipeline.make_pipeline(
        preprocessing.OrdinalEncoder(), tree.DecisionTreeRegressor(max_depth=4))
    train = columns(100)
    model.fit(train, (train[:, 0] == "S") * 2.0 + (train[:, 1] == "red"))
    proto = to_onnx(model, initial_types=[("x", StringTensorType([None, 2]))], target_opset=OPSETS)
    onnx.save(proto, path)
    inputs = [columns(n) for n in BATCHES]
    return Data([({"x": x}, [model.predict(x).reshape(-1, 1)]) for x in inputs])


def several_targets(path):
    """A regressor of three targets."""
    model = multioutput.MultiOutputRegressor(tree.DecisionTreeRegressor(max_depth=5))
    x = table(200)
    model.fit(x, np.stack([target(x), target(x[:, ::-1]), x[:, 0]], 1))
    onnx.save(to_onnx(model, x[:1], target_opset=OPSETS), path)
    return Data([({"X": x}, [model.predict(x)]) for x in (table(n, seed=n) for n in BATCHES)])


def with_holes(model):
    """Returns the maker of a transformer of tables in which numbers are missing."""

    def data(n):
        x = table(n, seed=n)
        x[randoms(n).random(x.shape) < 0.2] = np.nan
        return x

    def make(path):
        model.fit(data(200))
        onnx.save(to_onnx(model, table(1), target_opset=OPSETS), path)
        return Data([({"X": x}, [model.transform(x)]) for x in map(data, BATCHES)])

    return make


def categories(path):
    """Boosted trees, two of whose features are categories."""

    def data(n):
        x = table(n, seed=n)
        x[:, :2] = randoms(n).integers(0, 6, size=(n, 2))
        return x

    x = data(300)
    y = target(x) + np.isin(x[:, 0], [1, 4]) * 3
    model = lightgbm.LGBMRegressor(n_estimators=8, max_depth=4, random_state=1, verbose=-1)
    model.fit(x, y, categorical_feature=[0, 1])
    onnx.save(lightgbm_convert(model, initial_types=[("x", FloatTable([None, 6]))]), path)
    return Data([({"x": x}, [model.predict(x).reshape(-1, 1)]) for x in map(data, BATCHES)])


def boosted(model, convert, is_classifier, count=3, missing=False):
    """Returns the maker of boosted trees of LightGBM or XGBoost; some numbers are missing."""

    def data(n, seed):
        x = table(n, seed=seed)
        if missing:
            x[randoms(seed).random(x.shape) < 0.15] = np.nan
        return x

    def make(path):
        x = table(300)
        y = classes(x, count) if is_classifier else target(x)
        model.fit(data(300, 51), y)
        proto = convert(model, initial_types=[("x", FloatTable([None, 6]))], target_opset=15)
        onnx.save(proto, path)

        def outputs(x):
            if is_classifier:
                return [model.predict(x), model.predict_proba(x)]
            return [model.predict(x).reshape(-1, 1)]

        return Data([({"x": x}, outputs(x)) for x in (data(n, n) for n in BATCHES)])

    return make


def lightgbm_convert(model, **options):
    options["target_opset"] = 15
    return convert_lightgbm(model, zipmap=False, **options) if hasattr(model, "classes_") \
        else convert_lightgbm(model, **options)


SMALL = dict(n_estimators=12, max_depth=4, random_state=1)

MAKERS = [
    ("sk_logistic", classifier(linear_model.LogisticRegression())),
    ("sk_logistic_maps", classifier(linear_model.LogisticRegression(), names=True, zips=True)),
    ("sk_sgd_binary", classifier(linear_model.SGDClassifier(
        loss="log_loss", random_state=1), count=2)),
    ("sk_tree", classifier(tree.DecisionTreeClassifier(max_depth=6), names=True)),
    ("sk_forest", classifier(ensemble.RandomForestClassifier(**SMALL), zips=True)),
    ("sk_extra_trees", regressor(ensemble.ExtraTreesRegressor(**SMALL))),
    ("sk_boosting", classifier(ensemble.GradientBoostingClassifier(**SMALL))),
    ("sk_adaboost", classifier(ensemble.AdaBoostClassifier(n_estimators=8, random_state=1))),
    ("sk_isolation", transformer(
        ensemble.IsolationForest(n_estimators=10, random_state=1),
        results=lambda m, x: [m.predict(x).reshape(-1, 1), m.decision_function(x).reshape(-1, 1)])),
    ("sk_svc", classifier(svm.SVC(probability=True, random_state=1))),
    ("sk_svc_poly", classifier(svm.SVC(kernel="poly", probability=True, random_state=1), count=2)),
    ("sk_svr", regressor(svm.SVR())),
    ("sk_linear_svc", classifier(svm.LinearSVC(), options={"raw_scores": True})),
    ("sk_knn", classifier(neighbors.KNeighborsClassifier(5))),
    ("sk_knn_regressor", regressor(neighbors.KNeighborsRegressor(4))),
    ("sk_naive_bayes", classifier(naive_bayes.GaussianNB())),
    ("sk_lda", classifier(discriminant_analysis.LinearDiscriminantAnalysis())),
    ("sk_mlp", classifier(neural_network.MLPClassifier((16, 8), max_iter=200, random_state=1))),
    ("sk_one_vs_rest", classifier(multiclass.OneVsRestClassifier(
        linear_model.LogisticRegression()))),
    ("sk_calibrated", classifier(calibration.CalibratedClassifierCV(
        linear_model.LogisticRegression(), cv=3))),
    ("sk_stacking", classifier(ensemble.StackingClassifier([
        ("tree", tree.DecisionTreeClassifier(max_depth=3)),
        ("logistic", linear_model.LogisticRegression())]))),
    ("sk_voting", classifier(ensemble.VotingClassifier([
        ("tree", tree.DecisionTreeClassifier(max_depth=3)),
        ("bayes", naive_bayes.GaussianNB())], voting="soft", flatten_transform=False))),
    ("sk_gaussian_process", regressor(gaussian_process.GaussianProcessRegressor(
        alpha=0.1, kernel=gaussian_process.kernels.RBF()))),
    ("sk_ridge_polynomial", regressor(pipeline.make_pipeline(
        preprocessing.PolynomialFeatures(2), preprocessing.StandardScaler(),
        linear_model.Ridge()))),
    ("sk_pca", transformer(pipeline.make_pipeline(
        preprocessing.RobustScaler(), decomposition.PCA(3)))),
    ("sk_select", transformer(pipeline.make_pipeline(
        feature_selection.SelectKBest(k=4), preprocessing.KBinsDiscretizer(
            4, encode="ordinal", quantile_method="averaged_inverted_cdf")))),
    ("sk_kmeans", transformer(
        cluster.KMeans(4, n_init=1, random_state=1),
        results=lambda m, x: [m.predict(x), m.transform(x)])),
    ("sk_mixture", transformer(
        mixture.GaussianMixture(3, random_state=1),
        results=lambda m, x: [m.predict(x).reshape(-1, 1), m.predict_proba(x)])),
    ("sk_bagging", classifier(ensemble.BaggingClassifier(n_estimators=5, random_state=1))),
    ("sk_bernoulli_bayes", classifier(naive_bayes.BernoulliNB())),
    ("sk_ridge_classifier", classifier(
        linear_model.RidgeClassifier(), names=True, options={"raw_scores": True})),
    ("sk_nu_svc", classifier(svm.NuSVC(probability=True, random_state=1), names=True)),
    ("sk_one_class_svm", transformer(
        svm.OneClassSVM(),
        results=lambda m, x: [m.predict(x).reshape(-1, 1), m.decision_function(x).reshape(-1, 1)])),
    ("sk_outlier_factor", transformer(
        neighbors.LocalOutlierFactor(novelty=True),
        results=lambda m, x: [m.predict(x).reshape(-1, 1), m.decision_function(x).reshape(-1, 1)])),
    ("sk_power", regressor(pipeline.make_pipeline(
        preprocessing.PowerTransformer(), linear_model.LinearRegression()))),
    ("sk_several_targets", several_targets),
    ("sk_least_squares", regressor(cross_decomposition.PLSRegression(2))),
    ("sk_kernel_pca", transformer(decomposition.KernelPCA(3, kernel="rbf"))),
    ("sk_knn_imputer", with_holes(impute.KNNImputer(n_neighbors=3))),
    ("sk_imputer", with_holes(impute.SimpleImputer(strategy="median"))),
    ("sk_rows", transformer(pipeline.make_pipeline(
        preprocessing.QuantileTransformer(n_quantiles=20), preprocessing.Normalizer(),
        preprocessing.Binarizer(threshold=0.3)))),
    ("sk_columns", mixed_columns),
    ("sk_tfidf", text(feature_extraction.text.TfidfVectorizer())),
    ("sk_words", text(feature_extraction.text.CountVectorizer(
        stop_words=["the", "a"], token_pattern="[a-zA-Z]+"))),
    ("sk_characters", text(feature_extraction.text.CountVectorizer(
        analyzer="char", ngram_range=(2, 2)))),
    ("sk_ordinal", ordinal),
    ("lgbm_classifier", boosted(
        lightgbm.LGBMClassifier(**SMALL, verbose=-1), lightgbm_convert, True, missing=True)),
    ("lgbm_binary", boosted(
        lightgbm.LGBMClassifier(**SMALL, verbose=-1), lightgbm_convert, True, count=2)),
    ("lgbm_categories", categories),
    ("lgbm_dart", boosted(
        lightgbm.LGBMClassifier(**SMALL, boosting_type="dart", verbose=-1), lightgbm_convert,
        True)),
    ("lgbm_huber", boosted(lightgbm.LGBMRegressor(
        **SMALL, objective="huber", verbose=-1), lightgbm_convert, False)),
    ("lgbm_regressor", boosted(
        lightgbm.LGBMRegressor(**SMALL, verbose=-1), lightgbm_convert, False, missing=True)),
    ("xgb_classifier", boosted(
        xgboost.XGBClassifier(**SMALL), convert_xgboost, True, missing=True)),
    ("xgb_binary", boosted(xgboost.XGBClassifier(**SMALL), convert_xgboost, True, count=2)),
    ("xgb_regressor", boosted(
        xgboost.XGBRegressor(**SMALL), convert_xgboost, False, missing=True)),
]
