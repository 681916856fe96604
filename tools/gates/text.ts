/** A source without its comments, each line where it was. Strings are taken first: nothing in them is a comment. */
export const withoutComments = (source: string): string =>
  source.replace(
    /("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*.*?\*\/|\/\/[^\n]*/gs,
    (whole, text: string | undefined) => text ?? whole.replace(/[^\n]/g, "")
  )
