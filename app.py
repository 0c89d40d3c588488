"""The CDK app: synthesizes the stacks that the context of `npx cdk deploy` describes."""

import os
import sys

import aws_cdk as cdk

from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read
from livemosaic_cdk.stacks import build

app = cdk.App()
try:
    build(app, read(app.node.get_all_context(), os.environ))
except ConfigError as error:
    sys.exit(str(error))
app.synth()
