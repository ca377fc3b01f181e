package swiftdeploy.trial

decision := [min([10, 9, 100]), max([10,9,100]), sort([10,9,100]), sum([1,2.5])]
