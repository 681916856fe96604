/** What is wrong with a package, where, and how to mend it. */
export interface Problem {
  readonly package: string
  /** Inside the package, or in the repository. */
  readonly file: string
  readonly message: string
  readonly mend: string
}

/** As it is printed. */
export const format = (problem: Problem): string =>
  `${problem.package}: ${problem.file}: ${problem.message}\n    mend: ${problem.mend}`
