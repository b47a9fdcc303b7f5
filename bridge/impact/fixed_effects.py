"""Least squares with a level for each person and one for each cell (role x period), and what changes without a group.

The people are taken out by their means (Frisch, Waugh, Lovell); what stays are as many equations as there are cells.
They are sums over groups of people, so leaving a group out is a subtraction and not another pass over the rows: 50
groups of 10,000 people x 52 weeks take well under a second.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph

from bridge.impact.columns import FloatArray, IntArray

COLLINEAR = 1e-9
"""Share of a column's variance below which it says nothing that the columns before it, people and cells do not."""
MOST_DENSE = 1_000
"""Cells up to which full matrices are faster; roles x weeks of a large company would fill the memory."""

Matrix = FloatArray | scipy.sparse.csr_array


class Groups:
    """Sums over each group of people, of which `solve` makes equations.

    `values` is rows x columns: what is explained, and what it may be explained by besides people and cells.
    """

    def __init__(
        self,
        *,
        person: IntArray,
        cell: IntArray,
        weight: FloatArray,
        values: FloatArray,
        group: IntArray,
        groups: int,
        cells: int,
    ) -> None:
        people, columns = len(group), values.shape[1]
        own = np.bincount(person, weight, people)
        safe = np.where(own > 0, own, 1.0)
        self.person_means = np.column_stack(
            [np.bincount(person, weight * values[:, one], people) / safe for one in range(columns)]
        )
        within = values - self.person_means[person]
        place = group[person] * cells + cell
        # A column at a time: all at once would hold rows x columns x columns.
        self.by_cell = np.stack(
            [np.bincount(place, weight * within[:, one], groups * cells) for one in range(columns)], axis=-1
        ).reshape(groups, cells, columns)
        self.products = np.empty((groups, columns, columns))
        of_row = group[person]
        for one in range(columns):
            for other in range(one + 1):
                sums = np.bincount(of_row, weight * within[:, one] * within[:, other], groups)
                self.products[:, one, other] = self.products[:, other, one] = sums
        present = scipy.sparse.csr_array((np.ones(len(person)), (person, cell)), shape=(people, cells))
        weighed = scipy.sparse.csr_array((weight / np.sqrt(safe[person]), (person, cell)), shape=(people, cells))
        on_diagonal = np.bincount(place, weight, groups * cells).reshape(groups, cells).astype(np.float64)
        self.matrices, self.links = [], []
        for one in range(groups):
            members = np.flatnonzero(group == one)
            own_weights, own_rows = weighed[members], present[members]
            diagonal = scipy.sparse.diags_array(on_diagonal[one])
            self.matrices.append(scipy.sparse.csr_array(diagonal - own_weights.T @ own_weights))
            self.links.append(scipy.sparse.csr_array(own_rows.T @ own_rows))
        self._matrix: Matrix = scipy.sparse.csr_array(sum(self.matrices[1:], self.matrices[0]))
        self._link: Matrix = scipy.sparse.csr_array(sum(self.links[1:], self.links[0]))
        self._is_dense = cells <= MOST_DENSE
        self._matrix, self._link = self._like(self._matrix), self._like(self._link)
        self._by_cell, self._products = self.by_cell.sum(axis=0), self.products.sum(axis=0)

    def solve(self, without: int | None = None) -> "Solution":
        """Take people and cells out of all columns, of everybody or of all but one group."""
        if without is None:
            return _solve(self._matrix, self._link, self._by_cell, self._products)
        return _solve(
            self._less(self._matrix, self.matrices[without]),
            self._less(self._link, self.links[without]),
            self._by_cell - self.by_cell[without],
            self._products - self.products[without],
        )

    def _less(self, whole: Matrix, part: scipy.sparse.csr_array) -> Matrix:
        if isinstance(whole, np.ndarray):
            return np.asarray(whole - part.toarray(), np.float64)
        return scipy.sparse.csr_array(whole - part)

    def _like(self, matrix: Matrix) -> Matrix:
        if self._is_dense and not isinstance(matrix, np.ndarray):
            return np.asarray(matrix.toarray(), np.float64)
        return matrix


@dataclass(frozen=True, eq=False)
class Solution:
    """The columns without people and cells.

    `component` says of each cell with which others it can be compared, through people who were in both; -1: nobody was
    in it. `effects` are cells x columns, `left` the products of what is left of the columns.
    """

    component: IntArray
    effects: FloatArray
    left: FloatArray
    total: FloatArray
    _factors: list[tuple[IntArray, FloatArray]]

    def explain(self, columns: list[int]) -> tuple[FloatArray, FloatArray]:
        """Explain column 0 by others: their coefficients (NaN where one is collinear), and the cells' effects."""
        coefficients = np.full(len(columns), np.nan)
        kept = self._independent(columns)
        if kept:
            chosen = [columns[one] for one in kept]
            coefficients[kept] = np.linalg.solve(self.left[np.ix_(chosen, chosen)], self.left[chosen, 0])
        effects = self.effects[:, 0] - self.effects[:, columns] @ np.nan_to_num(coefficients)
        return coefficients, effects

    def inverse(self, side: FloatArray) -> FloatArray:
        """Solve the cells' equations for another right side."""
        solved = np.zeros_like(side)
        for index, factor in self._factors:
            solved[index] = scipy.linalg.cho_solve((factor, True), side[index])
        return solved

    def _independent(self, columns: list[int]) -> list[int]:
        """Give the places of the columns that say something new, the first of those that say the same."""
        kept: list[int] = []
        left = self.left[np.ix_(columns, columns)].copy()
        for one, column in enumerate(columns):
            if left[one, one] <= COLLINEAR * self.total[column]:
                continue
            kept.append(one)
            left = left - np.outer(left[:, one], left[one]) / left[one, one]
        return kept


def _solve(matrix: Matrix, link: Matrix, by_cell: FloatArray, products: FloatArray) -> Solution:
    links = scipy.sparse.csr_array(link)
    links.eliminate_zeros()  # counts, so what is left of a group that was taken out is exactly 0
    counts = links.diagonal()
    _, labels = scipy.sparse.csgraph.connected_components(links, directed=False)
    component = np.where(counts > 0, labels, -1).astype(np.int64)
    effects = np.zeros_like(by_cell)
    factors = []
    order = np.argsort(component, kind="stable")
    order = order[component[order] >= 0]
    for index in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(index) < 2:
            continue
        # One cell of each component is the level that the others differ from: the fullest, for the numbers' sake.
        rest = np.delete(index, np.argmax(counts[index]))
        part = matrix[np.ix_(rest, rest)] if isinstance(matrix, np.ndarray) else matrix[rest][:, rest].toarray()
        factor = _factor(part)
        factors.append((rest, factor))
        effects[rest] = scipy.linalg.cho_solve((factor, True), by_cell[rest])
    left = products - by_cell.T @ effects
    return Solution(component, effects, left, np.diag(products).copy(), factors)


def _factor(part: FloatArray) -> FloatArray:
    try:
        return scipy.linalg.cholesky(part, lower=True)
    except scipy.linalg.LinAlgError:
        # Weights that differ by many powers of ten: the smallest push that makes the matrix positive again.
        push = np.finfo(float).eps * len(part)
        size = np.maximum(np.diag(part), np.finfo(float).tiny)
        while True:
            try:
                return scipy.linalg.cholesky(part + np.diag(push * size), lower=True)
            except scipy.linalg.LinAlgError:
                push *= 100
