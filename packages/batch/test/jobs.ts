import type { NewJob } from "@caprock/batch/JobControl"

/** A job to create. */
export const newJob = (some: Partial<NewJob> = {}): NewJob => ({
  name: "caprock-0badcafe-0-0-0",
  token: "token",
  model: "amazon.nova-lite-v1:0",
  invocationType: "Converse",
  roleArn: "arn:aws:iam::111122223333:role/batch",
  input: "s3://caprock-batch/nightly/in/0-0-1/",
  output: "s3://caprock-batch/nightly/out/",
  hours: 72,
  ...some
})
