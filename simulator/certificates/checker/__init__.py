"""A separate checker of certificates: small, slow, and no line of it is the prover's.

The multipliers of a :class:`~simulator.certificates.proofs.Proof` give a sound bound whatever they
are, so there is nothing to trust in them. The checker evaluates that bound from the weights, the
sample and the proof, in exact arithmetic: a float64 is a rational number, and sums and products of
such numbers are computed as Python integers. What has no exact value (roots, quotients) is rounded
to the safe side; one matrix is shown to be positive semidefinite through a float64 factor with a
derived bound of its error. The claims are about real numbers, and so is the verdict.

    exact     arrays of dyadic rationals, roots and quotients rounded outward
    definite  how far a matrix is from positive semidefinite at most
    tree      whether the cuts part the ball, and where each <w_i, delta> is in each part
    bounds    lower bounds of the margin: of a leaf, and the separable one
    verdict   check_proof, check_counterexample

Only the format (:mod:`simulator.certificates.proofs`) and the foundation are imported; a test of
the import tree holds this package to it.
"""
