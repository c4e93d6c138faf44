//! The oracle: a slow, obvious backend around neurax-ir's eval; it defines what is right.
